"""What whoever runs an environment decides about the programs of a toolset."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ByteSize, ConfigDict, Field, StringConstraints, model_validator

VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]


def _absolute(path: Path) -> Path:
    if not path.is_absolute() or ".." in path.parts:
        raise ValueError("must be the absolute path of a folder")
    return path


Folder = Annotated[Path, AfterValidator(_absolute)]


class SandboxSettings(BaseModel):
    """Settings that every toolset has which starts programs."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    sandbox: Literal["required", "off"] = "required"
    """`off`: programs run with the rights of the execution's process, with the network and all files that it can read.
    Only the limits of each process and the clean environment remain. `required`: none runs without a sandbox."""

    network: bool = False
    """Whether programs in the sandbox may use the network. They then reach whatever the worker's machine reaches, its
    own services and cloud metadata included."""

    root: Folder | None = None
    """The folder to work in, instead of the workspace of the execution."""

    read_only: bool = False
    """Whether programs in the sandbox can only read that folder."""

    readable: tuple[Folder, ...] = ()
    """Folders that programs in the sandbox may read, besides those of the system."""

    environment: dict[VariableName, str] = {}
    """Environment variables of the programs. They have none of the worker's."""

    memory: ByteSize = Field(default=ByteSize(1 << 30), ge=64 << 20)
    """How much memory a program may take: each process and, in the sandbox, all of them together."""

    temporary: ByteSize = Field(default=ByteSize(256 << 20), ge=1 << 20)
    """How much fits into the sandbox's own `/tmp`, which is in memory, and into its `/dev/shm`."""

    file_size: ByteSize = Field(default=ByteSize(1 << 30), ge=1 << 20)
    """How large a file may become that a program writes."""

    processes: int = Field(default=128, ge=4, le=10_000)
    """How many processes and threads a program in the sandbox may have at once."""

    cpu_seconds: int = Field(default=600, ge=1)
    """How long each process may compute."""

    @model_validator(mode="after")
    def _no_promise_that_cannot_be_kept(self) -> Self:
        if self.sandbox == "off":
            for name in ("network", "read_only", "readable"):
                if name in self.model_fields_set and getattr(self, name) != (name == "network"):
                    raise ValueError(f"without a sandbox nothing can hold a program to {name}: leave it out")
        return self

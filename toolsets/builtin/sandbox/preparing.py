"""How a program is started so that it is held in: through `launcher`, in the sandbox or, where that is off, without."""

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from toolsets.builtin.sandbox import launcher
from toolsets.builtin.sandbox.bubblewrap import WORKSPACE, bubblewrap
from toolsets.builtin.sandbox.settings import SandboxSettings
from toolsets.builtin.sandbox.system_calls import system_call_filter
from toolsets.failures import ToolFailed

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OPEN_FILES = 1024

_LONGEST_SPECIFICATION = 100_000
"""Linux takes at most 128 KiB in one argument."""


def _python_folders() -> tuple[Path, ...]:
    """What the interpreter of the worker needs to run, without what is installed for the worker."""
    places = {Path(sys.base_prefix), Path(sys.base_exec_prefix)}
    return tuple(sorted(place for place in places if not place.is_relative_to("/usr") and place != Path("/")))


PYTHON_FOLDERS = _python_folders()


@dataclass(frozen=True, slots=True)
class Prepared:
    """Start exactly this: these arguments, this environment, as a child of the process that prepared it.

    Its standard streams are the program's own. It ends with the program and with its exit code; SIGTERM or the end of
    its parent ends the program with everything that this has started.
    """

    argv: list[str]
    environment: dict[str, str]


def prepare(
    program: Sequence[str],
    *,
    folder: Path,
    settings: SandboxSettings,
    inner: str = "",
    environment: Mapping[str, str] | None = None,
    network: bool | None = None,
    readable: Sequence[Path] = (),
    hidden: Sequence[Path] = (),
) -> Prepared:
    """How to start `program` in `folder`, or in `inner`, a folder in that.

    `environment`, `network` and `readable` are what the toolset itself adds to the settings; `hidden` are programs that
    nothing in the sandbox can run. Tries the sandbox when it
    is called first in a process, which blocks for some 10 ms. Raises `SandboxUnavailable`, or `ToolFailed` if the
    program's arguments are too long or `inner` leads out.
    """
    inner = _inside(inner)
    root = settings.root or folder
    specification: dict[str, Any] = {
        "parent": os.getpid(),
        "limits": {
            "memory": settings.memory,
            "processes": settings.processes,
            "file_size": settings.file_size,
            "cpu_seconds": settings.cpu_seconds,
            "open_files": OPEN_FILES,
        },
        "program": list(program),
    }
    if settings.sandbox == "off":
        home = str(root)
        specification["folder"] = str(root / inner)
    else:
        home = "/tmp"  # noqa: S108 - the sandbox's own
        sandbox = bubblewrap()
        specification["bubblewrap"] = sandbox.program
        specification["filter"] = system_call_filter().hex()
        specification["arguments"] = sandbox.arguments(
            root,
            inner=inner,
            read_only=settings.read_only,
            network=settings.network if network is None else network,
            readable=[*settings.readable, *readable],
            hidden=hidden,
            temporary=settings.temporary,
        )
    variables = {"PATH": PATH, "HOME": home, "LANG": "C.UTF-8", **settings.environment, **(environment or {})}
    text = json.dumps(specification)
    if len(text) > _LONGEST_SPECIFICATION:
        raise ToolFailed("The command is too long. Put the text into a file and let the command read that.")
    return Prepared(
        # Isolated from every variable and folder; without `site`, which would look for packages.
        argv=[_interpreter(), "-I", "-S", launcher.__file__, text],
        # Prefixed, so that nothing outside of the sandbox obeys them.
        environment={launcher.PREFIX + name: value for name, value in variables.items()},
    )


def _interpreter() -> str:
    return sys.executable or shutil.which("python3") or "python3"


def _inside(path: str) -> str:
    pure = PurePosixPath(path or ".")
    if pure.is_absolute() or ".." in pure.parts or "\0" in path:
        raise ToolFailed(f"{path!r} leads out of the workspace. Use a relative path without `..`.")
    return "" if str(pure) == "." else str(pure)


__all__ = ["OPEN_FILES", "PATH", "PYTHON_FOLDERS", "WORKSPACE", "Prepared", "prepare"]

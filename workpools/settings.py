"""Settings of a worker, read once from its environment (`CONTROL_PLANE_WORKER_*`)."""

import os
from datetime import timedelta
from typing import Annotated

from pydantic import AliasGenerator, BeforeValidator, ByteSize, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _slots() -> int:
    return min(2 * (os.cpu_count() or 1), 8)


def _names(value: object) -> object:
    return tuple(filter(None, (name.strip() for name in value.split(",")))) if isinstance(value, str) else value


class WorkerSettings(BaseSettings):
    """What the person who runs a worker decides."""

    model_config = SettingsConfigDict(
        alias_generator=AliasGenerator(validation_alias=lambda name: f"CONTROL_PLANE_WORKER_{name.upper()}"),
        populate_by_name=True,
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    slots: int = Field(default_factory=_slots, ge=1, le=200)
    """How many executions run at once, each in a process of its own that is kept ready. Default: two for each
    processor, at most eight. `prefect worker start --limit` comes before it."""

    memory: ByteSize = Field(default=ByteSize(4 << 30), ge=256 << 20)
    """How much memory the process of an execution, and each process that it starts, may take for data."""

    open_files: int = Field(default=1024, ge=64, le=1_048_576)
    """How many files and connections the process of an execution may have open."""

    pass_environment: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)] = ()
    """Names of environment variables, separated by commas, that executions may read. They see no other of the worker's
    but those that say where programs, certificates and proxies are, and Prefect's without its credentials."""

    rehearse: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)] = ()
    """Names of toolsets, separated by commas, that are only rehearsed: others of the same names, which touch nothing
    real, stand in for them. An execution that needs one of which there is no rehearsal fails."""

    drain: timedelta = Field(default=timedelta(minutes=10), ge=timedelta())
    """How long executions may take to finish after the worker was asked to stop. A second request stops them."""

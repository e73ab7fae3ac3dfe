"""What the control plane needs of the engine that runs executions. Prefect is the default; others are plugins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from importlib.metadata import entry_points
from typing import Protocol
from uuid import UUID

ENTRY_POINT_GROUP = "control_plane.orchestrators"


class OrchestratorUnavailable(Exception):
    """The orchestrator can't be reached or answers that it can't work now. The same call may succeed later."""


class OrchestratorRefused(Exception):
    """The orchestrator understood and said no. The same call will fail again until somebody changes something."""


class RunState(StrEnum):
    """What the orchestrator knows of a run."""

    WAITING = "waiting"
    """For a worker to take it."""

    HANDED_OUT = "handed_out"
    """A worker has taken it."""

    ENDED = "ended"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class RunStatus:
    """The state of a run, and since when. `detail` is the orchestrator's own word for it, for people."""

    state: RunState
    detail: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One execution to be run on a work pool. It carries no prompt and no secret.

    `attempt` tells a deliberate new run of the same execution from a repeated request for the same run.
    """

    execution_id: UUID
    work_pool: str
    attempt: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Queue:
    """A part of a work pool that workers may serve on its own. `concurrency_limit` None: as much as they take."""

    name: str
    description: str = ""
    concurrency_limit: int | None = None
    paused: bool = False


class Orchestrator(Protocol):
    """All methods are safe to repeat. They raise `OrchestratorUnavailable` or `OrchestratorRefused`."""

    async def ensure_environment(self, work_pool: str, queues: Sequence[Queue]) -> None:
        """Make sure that the work pool exists, can run executions, and has these queues, the first served first.

        A queue that isn't among them is removed, except the engine's own default.
        """

    async def remove_environment(self, work_pool: str) -> bool:
        """Remove the work pool and everything kept for it; False: there is more left, so call again."""

    async def start(self, request: RunRequest) -> UUID:
        """Start a run and return its id: the same id for the same execution and attempt."""

    async def cancel(self, run_id: UUID) -> None:
        """Stop a run. A run that has ended or is unknown is left alone."""

    async def give_up(self, run_id: UUID) -> None:
        """Note that a run has crashed, whose worker is gone. A run that has ended or is unknown is left alone."""

    async def status(self, run_id: UUID) -> RunStatus:
        """What has become of a run."""

    def run_url(self, run_id: UUID) -> str | None:
        """Where people see the run, if the engine has a user interface."""

    async def check(self) -> None:
        """Return if the engine answers."""

    async def aclose(self) -> None:
        """Close connections."""


class OrchestratorFactory(Protocol):
    """What the entry point names."""

    def __call__(self, *, api_url: str, ui_url: str, auth_string: str | None) -> Orchestrator:
        """An orchestrator that talks to the engine at `api_url`."""


def load(name: str) -> OrchestratorFactory:
    """The orchestrator plugin called `name`. Raises `LookupError` naming those that are installed."""
    found = {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}
    if name not in found:
        raise LookupError(f"There is no orchestrator {name!r}; installed are: {', '.join(sorted(found)) or 'none'}.")
    factory: OrchestratorFactory = found[name].load()
    return factory

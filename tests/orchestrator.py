"""A fake of our own port `deployments.Orchestrator`."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid5

from deployments.orchestrator import (
    OrchestratorRefused,
    OrchestratorUnavailable,
    Queue,
    RunRequest,
    RunState,
    RunStatus,
)

_NAMESPACE = UUID("5f6f3c63-6a3c-4c57-9a57-0b2f6f3f8f10")


class FakeOrchestrator:
    """Remembers what it was asked. Set `down` to make every call raise `OrchestratorUnavailable`,
    add a work pool to `refuses` to have it refused.

    `asked_to_start` is set with the first start, `asked_to_remove` with the first removal of a work pool.
    """

    def __init__(self) -> None:
        self.down = False
        self.refuses: set[str] = set()
        self.asked_to_start = asyncio.Event()
        self.asked_to_remove = asyncio.Event()
        self.pools: list[str] = []
        self.queues: dict[str, list[Queue]] = {}
        self.removed: list[str] = []
        self.started: list[RunRequest] = []
        self.cancelled: list[UUID] = []
        self.given_up: list[UUID] = []
        self.states: dict[UUID, RunStatus] = {}

    async def ensure_environment(self, work_pool: str, queues: Sequence[Queue]) -> None:
        self._answer()
        self._refuse(work_pool)
        self.pools.append(work_pool)
        self.queues[work_pool] = list(queues)

    async def remove_environment(self, work_pool: str) -> bool:
        self._answer()
        self.queues.pop(work_pool, None)
        self.removed.append(work_pool)
        self.asked_to_remove.set()
        return True

    async def start(self, request: RunRequest) -> UUID:
        self._answer()
        self._refuse(request.work_pool)
        self.started.append(request)
        self.asked_to_start.set()
        return uuid5(_NAMESPACE, f"{request.execution_id}:{request.attempt}")

    async def cancel(self, run_id: UUID) -> None:
        self._answer()
        self.cancelled.append(run_id)

    async def give_up(self, run_id: UUID) -> None:
        self._answer()
        self.given_up.append(run_id)

    async def status(self, run_id: UUID) -> RunStatus:
        self._answer()
        return self.states.get(run_id, RunStatus(RunState.WAITING, "Scheduled"))

    def run_url(self, run_id: UUID) -> str:
        return f"http://orchestrator.test/runs/{run_id}"

    async def check(self) -> None:
        self._answer()

    async def aclose(self) -> None:
        return

    def _refuse(self, work_pool: str) -> None:
        if work_pool in self.refuses:
            raise OrchestratorRefused(f"the fake orchestrator refuses {work_pool}")

    def _answer(self) -> None:
        if self.down:
            raise OrchestratorUnavailable("the fake orchestrator is down")

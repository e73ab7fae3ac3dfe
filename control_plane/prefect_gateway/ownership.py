"""Whose each thing in Prefect is. What belongs to somebody else doesn't exist."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
from pydantic_core import to_json

from control_plane.prefect_gateway.remembered import Remembered
from control_plane.prefect_gateway.scope import Scope
from control_plane.prefect_gateway.upstream import Upstream
from control_plane.problems import NotFound
from deployments.catalog import PARAMETER

_MOST = 50_000
_ROWS_LIVE = timedelta(seconds=10)
"""Deployments and flows change when the control plane is upgraded; a worker asks for them with each flow run."""


@dataclass(frozen=True, slots=True)
class FlowRun:
    """What never changes about a flow run: where it runs, and for which execution."""

    work_pool: str | None
    execution_id: str | None

    def is_within(self, scope: Scope) -> bool:
        """Whether a credential of this scope may see and change it."""
        if self.work_pool != scope.work_pool:
            return False
        return scope.execution_id is None or self.execution_id == str(scope.execution_id)


class Ownership:
    """Asks Prefect once whose a thing is and remembers it. What is asked about and isn't ours raises `NotFound`."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._flow_runs: Remembered[UUID, FlowRun] = Remembered(_MOST)
        self._task_runs: Remembered[UUID, UUID | None] = Remembered(_MOST)
        self._pools: Remembered[UUID, str] = Remembered(_MOST, lifetime=timedelta(minutes=10))
        self._queues: Remembered[UUID, str] = Remembered(_MOST, lifetime=timedelta(minutes=10))
        self._rows: Remembered[tuple[str, str, UUID], bytes] = Remembered(2_000, lifetime=_ROWS_LIVE)

    async def read_flow_run(self, scope: Scope, flow_run_id: UUID) -> httpx.Response:
        """The flow run as it is now."""
        response = await self._upstream.get(f"/flow_runs/{flow_run_id}")
        if response.status_code != 200:
            raise NotFound.of("flow run", flow_run_id)
        row = response.json()
        found = FlowRun(row["work_pool_name"], _execution_of(row))
        self._flow_runs.put(flow_run_id, found)
        if not found.is_within(scope):
            raise NotFound.of("flow run", flow_run_id)
        return response

    async def check_flow_run(self, scope: Scope, flow_run_id: UUID) -> None:
        """Return if the flow run is within the scope."""
        known = self._flow_runs.get(flow_run_id)
        if known is None:
            await self.read_flow_run(scope, flow_run_id)
        elif not known.is_within(scope):
            raise NotFound.of("flow run", flow_run_id)

    def note_scheduled(self, scope: Scope, row: dict[str, Any]) -> None:
        """Learn from the answer to a worker's poll whose a flow run is."""
        self._flow_runs.put(UUID(row["id"]), FlowRun(scope.work_pool, _execution_of(row)))

    async def check_task_run(self, scope: Scope, task_run_id: UUID, *, flow_run_id: UUID) -> None:
        """Return if the task run belongs to this flow run, or is new and therefore does from now on.

        Flow runs make up the ids of their task runs and Prefect hears of a task run by its events.
        """
        await self.check_flow_run(scope, flow_run_id)
        owner = self._task_runs.get(task_run_id)
        if owner is None:
            response = await self._upstream.get(f"/task_runs/{task_run_id}")
            # A task run without a flow run is nobody's that could come here, so its owner becomes an id of nothing.
            owner = (
                UUID(response.json()["flow_run_id"] or str(UUID(int=0))) if response.status_code == 200 else flow_run_id
            )
            self._task_runs.put(task_run_id, owner)
        if owner != flow_run_id:
            raise NotFound.of("task run", task_run_id)

    async def read_work_pool(self, scope: Scope, name: str) -> httpx.Response:
        """The scope's own work pool as it is now."""
        check_work_pool(scope, name)
        response = await self._upstream.get(f"/work_pools/{scope.work_pool}")
        if response.status_code != 200:
            raise NotFound.of("work pool", name)
        self._pools.put(UUID(response.json()["id"]), scope.work_pool)
        return response

    async def check_work_pool_id(self, scope: Scope, work_pool_id: UUID) -> None:
        """Return if this is the id of the scope's own work pool."""
        if self._pools.get(work_pool_id) is None:
            await self.read_work_pool(scope, scope.work_pool)
        if self._pools.get(work_pool_id) != scope.work_pool:
            raise NotFound.of("work pool", work_pool_id)

    async def work_pool_id(self, scope: Scope) -> UUID:
        """The id of the scope's own work pool."""
        response = await self.read_work_pool(scope, scope.work_pool)
        return UUID(response.json()["id"])

    async def read_work_queue(self, scope: Scope, queue_id: UUID) -> httpx.Response:
        """A queue of the scope's work pool as it is now."""
        response = await self._upstream.get(f"/work_queues/{queue_id}")
        if response.status_code != 200:
            raise NotFound.of("work queue", queue_id)
        work_pool = response.json()["work_pool_name"]
        self._queues.put(queue_id, work_pool or "")
        if work_pool != scope.work_pool:
            raise NotFound.of("work queue", queue_id)
        return response

    async def check_work_queue(self, scope: Scope, queue_id: UUID) -> None:
        """Return if the queue is one of the scope's work pool."""
        known = self._queues.get(queue_id)
        if known is None:
            await self.read_work_queue(scope, queue_id)
        elif known != scope.work_pool:
            raise NotFound.of("work queue", queue_id)

    async def read_deployment(self, scope: Scope, deployment_id: UUID) -> bytes:
        """The deployment on the scope's work pool, as it was a moment ago."""
        key = ("deployment", scope.work_pool, deployment_id)
        row = self._rows.get(key)
        if row is None:
            response = await self._upstream.get(f"/deployments/{deployment_id}")
            if response.status_code != 200 or response.json()["work_pool_name"] != scope.work_pool:
                raise NotFound.of("deployment", deployment_id)
            row = response.content
            self._rows.put(key, row)
        return row

    async def read_flow(self, scope: Scope, flow_id: UUID) -> bytes:
        """A flow that is deployed on the scope's work pool, as it was a moment ago."""
        key = ("flow", scope.work_pool, flow_id)
        row = self._rows.get(key)
        if row is None:
            body = {"flows": {"id": {"any_": [flow_id]}}, "work_pools": {"name": {"any_": [scope.work_pool]}}}
            response = await self._upstream.post("/flows/filter", to_json(body))
            found = response.json() if response.status_code == 200 else []
            if len(found) != 1 or found[0]["id"] != str(flow_id):
                raise NotFound.of("flow", flow_id)
            row = to_json(found[0])
            self._rows.put(key, row)
        return row


def check_work_pool(scope: Scope, name: str) -> None:
    """Return if this is the name of the scope's own work pool. Raises `NotFound`."""
    if name != scope.work_pool:
        raise NotFound.of("work pool", name)


def _execution_of(row: dict[str, Any]) -> str | None:
    execution_id = row["parameters"].get(PARAMETER)
    return execution_id if isinstance(execution_id, str) else None

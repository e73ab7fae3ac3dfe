"""Whose each single thing in Prefect is. What a person may not see is answered like what never was."""

from typing import Any
from uuid import UUID

import httpx
from pydantic_core import from_json, to_json

from control_plane.prefect_gateway.remembered import Remembered
from control_plane.prefect_gateway.upstream import Upstream
from control_plane.problems import NotFound
from control_plane.run_history.narrowing import Asked, flows_by_work_pools
from control_plane.run_history.scope import Scope

_MOST = 20_000


class Belonging:
    """Asks Prefect whose a thing is. On whose work pool a flow run is, and of which run a task run, never changes."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._flow_runs: Remembered[UUID, str] = Remembered(_MOST)
        self._task_runs: Remembered[UUID, UUID] = Remembered(_MOST)

    async def read_flow_run(self, scope: Scope, flow_run_id: UUID) -> httpx.Response:
        """The flow run as it is now."""
        response = await self._upstream.get(f"/flow_runs/{flow_run_id}")
        if response.status_code != 200:
            raise NotFound.of("flow run", flow_run_id)
        work_pool = from_json(response.content)["work_pool_name"] or ""
        self._flow_runs.put(flow_run_id, work_pool)
        if work_pool not in scope.work_pools:
            raise NotFound.of("flow run", flow_run_id)
        return response

    async def check_flow_run(self, scope: Scope, flow_run_id: UUID) -> None:
        """Return if the flow run is within the scope."""
        known = self._flow_runs.get(flow_run_id)
        if known is None:
            await self.read_flow_run(scope, flow_run_id)
        elif known not in scope.work_pools:
            raise NotFound.of("flow run", flow_run_id)

    async def among(self, scope: Scope, flow_run_ids: list[UUID]) -> list[UUID]:
        """Those of the flow runs that are within the scope."""
        unknown = [one for one in flow_run_ids if self._flow_runs.get(one) is None]
        if unknown:
            asked = {"flow_runs": {"id": {"any_": unknown}}, "limit": len(unknown)}
            for row in from_json((await self._upstream.post("/flow_runs/filter", to_json(asked))).content):
                self._flow_runs.put(UUID(row["id"]), row["work_pool_name"] or "")
        return [one for one in flow_run_ids if self._flow_runs.get(one) in scope.work_pools]

    async def flow_run_of(self, scope: Scope, task_run_id: UUID) -> UUID:
        """The flow run of a task run within the scope."""
        known = self._task_runs.get(task_run_id)
        if known is None:
            known = _flow_run_of(await self._upstream.get(f"/task_runs/{task_run_id}"), task_run_id)
            self._task_runs.put(task_run_id, known)
        try:
            await self.check_flow_run(scope, known)
        except NotFound:
            raise NotFound.of("task run", task_run_id) from None
        return known

    async def read_deployment(self, scope: Scope, deployment_id: UUID) -> httpx.Response:
        """A deployment on one of the scope's work pools."""
        response = await self._upstream.get(f"/deployments/{deployment_id}")
        if response.status_code != 200 or from_json(response.content)["work_pool_name"] not in scope.work_pools:
            raise NotFound.of("deployment", deployment_id)
        return response

    async def read_work_queue(self, scope: Scope, queue_id: UUID) -> httpx.Response:
        """A queue of one of the scope's work pools."""
        response = await self._upstream.get(f"/work_queues/{queue_id}")
        if response.status_code != 200 or from_json(response.content)["work_pool_name"] not in scope.work_pools:
            raise NotFound.of("work queue", queue_id)
        return response

    async def read_flow(self, scope: Scope, flow_id: UUID) -> dict[str, Any]:
        """A flow that is deployed on one of the scope's work pools."""
        asked = Asked(flows={"id": {"any_": [str(flow_id)]}})
        response = await self._upstream.post("/flows/filter", flows_by_work_pools(scope, asked))
        rows: list[dict[str, Any]] = from_json(response.content) if response.status_code == 200 else []
        if not rows:
            raise NotFound.of("flow", flow_id)
        return rows[0]

    def check_work_pool(self, scope: Scope, name: str) -> None:
        """Return if the work pool is one of the scope's."""
        if name not in scope.work_pools:
            raise NotFound.of("work pool", name)


def _flow_run_of(response: httpx.Response, task_run_id: UUID) -> UUID:
    found = from_json(response.content)["flow_run_id"] if response.status_code == 200 else None
    if found is None:
        raise NotFound.of("task run", task_run_id)
    return UUID(found)

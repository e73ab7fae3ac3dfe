"""The calls of a worker and of a flow run, each within the scope of the credential that makes it."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
from pydantic_core import from_json, to_json

from control_plane.prefect_gateway.bodies import (
    Events,
    FlowRunLabels,
    FlowRunPatch,
    FlowRunSearch,
    Logs,
    QueueList,
    ScheduledRuns,
    SetState,
    WorkerHeartbeat,
)
from control_plane.prefect_gateway.events import EventRefused, EventsIn
from control_plane.prefect_gateway.ownership import Ownership, check_work_pool
from control_plane.prefect_gateway.remembered import Remembered
from control_plane.prefect_gateway.scope import Scope
from control_plane.prefect_gateway.upstream import Upstream
from control_plane.problems import Invalid, NotFound

_MOST_QUEUES = 200
"""Prefect lists no more at once."""


class Gateway:
    """One instance serves a whole process. Everything here raises `NotFound` for what isn't within the scope."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.ownership = Ownership(upstream)
        self._version: Remembered[str, bytes] = Remembered(1, lifetime=timedelta(minutes=1))

    async def version(self) -> bytes:
        """The version of Prefect's server, as it was a minute ago at most."""
        known = self._version.get("")
        if known is None:
            known = (await self.upstream.get("/admin/version")).content
            self._version.put("", known)
        return known

    async def list_work_queues(self, scope: Scope, name: str, body: QueueList) -> list[dict[str, Any]]:
        """The queues of the work pool."""
        check_work_pool(scope, name)
        asked = {"limit": body.limit if body.limit is not None else _MOST_QUEUES, "offset": body.offset or 0}
        response = await self.upstream.post(f"/work_pools/{scope.work_pool}/queues/filter", to_json(asked))
        return [row for row in _rows(response) if row["work_pool_name"] == scope.work_pool]

    async def take_scheduled(self, scope: Scope, name: str, body: ScheduledRuns) -> bytes:
        """What waits for a worker of the session's queue; nothing while the worker is draining."""
        check_work_pool(scope, name)
        if scope.draining:
            return b"[]"
        asked = body.model_dump(exclude_none=True) | {"work_queue_names": [scope.work_queue]}
        response = await self.upstream.post(f"/work_pools/{scope.work_pool}/get_scheduled_flow_runs", to_json(asked))
        rows = _rows(response)
        for row in rows:
            await self.ownership.check_work_pool_id(scope, UUID(row["work_pool_id"]))
            self.ownership.note_scheduled(scope, row["flow_run"])
        return response.content

    async def note_heartbeat(self, scope: Scope, name: str, body: WorkerHeartbeat) -> httpx.Response:
        """A worker is alive."""
        check_work_pool(scope, name)
        return await self.upstream.post(f"/work_pools/{scope.work_pool}/workers/heartbeat", body.encoded())

    async def set_state(self, scope: Scope, flow_run_id: UUID, body: SetState) -> httpx.Response:
        """Move a flow run to another state."""
        await self.ownership.check_flow_run(scope, flow_run_id)
        return await self.upstream.post(f"/flow_runs/{flow_run_id}/set_state", body.encoded())

    async def patch_flow_run(self, scope: Scope, flow_run_id: UUID, body: FlowRunPatch) -> httpx.Response:
        """Note something about a flow run."""
        await self.ownership.check_flow_run(scope, flow_run_id)
        return await self.upstream.patch(f"/flow_runs/{flow_run_id}", body.encoded())

    async def label_flow_run(self, scope: Scope, flow_run_id: UUID, body: FlowRunLabels) -> httpx.Response:
        """Note which worker a flow run is on."""
        await self.ownership.check_flow_run(scope, flow_run_id)
        given = body.root.get("prefect.work-pool.id")
        if given is not None:
            await self.ownership.check_work_pool_id(scope, _uuid(given))
        return await self.upstream.patch(f"/flow_runs/{flow_run_id}/labels", body.encoded())

    async def search_flow_runs(self, scope: Scope, body: FlowRunSearch) -> list[dict[str, Any]]:
        """Those of the named flow runs that are within the scope and in one of the named states."""
        ids = [str(one) for one in body.flow_runs.id.any_ if await self.is_within(scope, one)]
        if not ids:
            return []
        asked = body.model_dump(mode="json", exclude_none=True)
        asked["flow_runs"]["id"] = {"any_": ids}
        asked["work_pools"] = {"name": {"any_": [scope.work_pool]}}
        response = await self.upstream.post("/flow_runs/filter", to_json(asked))
        return [row for row in _rows(response) if row["id"] in ids]

    async def is_within(self, scope: Scope, flow_run_id: UUID) -> bool:
        """Whether a flow run is within the scope."""
        try:
            await self.ownership.check_flow_run(scope, flow_run_id)
        except NotFound:
            return False
        return True

    async def write_logs(self, scope: Scope, body: Logs) -> httpx.Response:
        """Add lines to the logs of flow runs: all of them or, if one belongs elsewhere, none."""
        for flow_run_id in {line.flow_run_id for line in body.root}:
            await self.ownership.check_flow_run(scope, flow_run_id)
        task_runs = {line.task_run_id: line.flow_run_id for line in body.root if line.task_run_id}
        for line in body.root:
            if line.task_run_id and task_runs[line.task_run_id] != line.flow_run_id:
                raise NotFound.of("task run", line.task_run_id)
        await asyncio.gather(
            *(
                self.ownership.check_task_run(scope, task_run_id, flow_run_id=flow_run_id)
                for task_run_id, flow_run_id in task_runs.items()
            )
        )
        return await self.upstream.post("/logs/", body.encoded())

    async def tell_events(self, scope: Scope, body: Events) -> httpx.Response:
        """Tell Prefect what happened: all of it or, if one event isn't for the credential to tell, nothing."""
        events = EventsIn(scope, self.ownership)
        try:
            told = [await events.rebuilt(to_json(event).decode()) for event in body.root]
        except EventRefused as refusal:
            raise NotFound("One of the events isn't for this credential to tell.") from refusal
        return await self.upstream.post("/events", f"[{','.join(told)}]".encode())


def _rows(response: httpx.Response) -> list[dict[str, Any]]:
    if response.status_code != 200:
        raise NotFound("Prefect doesn't know this work pool or queue. It may be about to be made: ask again.")
    rows: list[dict[str, Any]] = from_json(response.content)
    return rows


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Invalid("It must be a UUID.", location="body.prefect.work-pool.id") from None

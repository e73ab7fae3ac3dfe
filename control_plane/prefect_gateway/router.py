"""`/prefect/api`: what a worker and a flow run need of Prefect's own API, and nothing else. Not for people.

It stands in no OpenAPI document of ours: the contract is Prefect's. What of it is served: docs/prefect-gateway.md.
"""

from typing import Annotated, Any
from uuid import UUID

import httpx
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from control_plane.auth.dependencies import MayUsePrefect
from control_plane.prefect_gateway.bodies import (
    EventsBody,
    HeartbeatBody,
    LabelsBody,
    LogsBody,
    PatchBody,
    QueuesBody,
    ScheduledBody,
    SearchBody,
    StateBody,
)
from control_plane.prefect_gateway.gateway import Gateway
from control_plane.prefect_gateway.scope import Scope, Scopes
from control_plane.prefect_gateway.sockets import router as sockets
from control_plane.problems import Forbidden

router = APIRouter(prefix="/prefect/api", include_in_schema=False)
router.include_router(sockets)

_JSON = "application/json"
_EVERY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


async def _scope(request: Request, principal: MayUsePrefect) -> Scope:
    scopes: Scopes = request.app.state.prefect_scopes
    return await scopes.of(principal)


async def _scope_of_worker(scope: Annotated[Scope, Depends(_scope)]) -> Scope:
    if scope.execution_id:
        raise Forbidden("An execution token opens its own flow run. This is for the session of a worker.")
    return scope


async def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.prefect_gateway
    return gateway


Within = Annotated[Scope, Depends(_scope)]
WithinPool = Annotated[Scope, Depends(_scope_of_worker)]
Prefect = Annotated[Gateway, Depends(_gateway)]


def _passed_on(response: httpx.Response) -> Response:
    return Response(response.content, response.status_code, media_type=_JSON)


@router.get("/admin/version")
async def version(_scope: Within, gateway: Prefect) -> Response:
    """The version of Prefect's server, which clients compare with their own."""
    return Response(await gateway.version(), media_type=_JSON)


@router.get("/admin/storage")
async def storage(_scope: Within) -> dict[str, None]:
    """Where results are kept: with the flow run, since blocks aren't served here."""
    return {"default_result_storage_block_id": None}


@router.get("/csrf-token")
async def csrf_token(_scope: Within) -> Response:
    """Prefect's clients ask once and go on without: no browser holds a credential that opens this."""
    return JSONResponse({"detail": "CSRF protection is disabled."}, status_code=422)


@router.get("/work_pools/{name}")
async def read_work_pool(name: str, scope: Within, gateway: Prefect) -> Response:
    """The work pool of the credential."""
    return _passed_on(await gateway.ownership.read_work_pool(scope, name))


@router.post("/work_pools/{name}/queues/filter")
async def list_work_queues(name: str, scope: WithinPool, gateway: Prefect, body: QueuesBody) -> list[dict[str, Any]]:
    """The queues of the work pool."""
    return await gateway.list_work_queues(scope, name, body)


@router.post("/work_pools/{name}/get_scheduled_flow_runs")
async def take_scheduled(name: str, scope: WithinPool, gateway: Prefect, body: ScheduledBody) -> Response:
    """Flow runs that wait for a worker of the session's queue."""
    return Response(await gateway.take_scheduled(scope, name, body), media_type=_JSON)


@router.post("/work_pools/{name}/workers/heartbeat")
async def note_heartbeat(name: str, scope: WithinPool, gateway: Prefect, body: HeartbeatBody) -> Response:
    """A sign of life, from workers whose WebSockets don't get through."""
    return _passed_on(await gateway.note_heartbeat(scope, name, body))


@router.get("/work_queues/{queue_id}")
async def read_work_queue(queue_id: UUID, scope: Within, gateway: Prefect) -> Response:
    """A queue of the work pool."""
    return _passed_on(await gateway.ownership.read_work_queue(scope, queue_id))


@router.get("/deployments/{deployment_id}")
async def read_deployment(deployment_id: UUID, scope: Within, gateway: Prefect) -> Response:
    """A deployment on the work pool."""
    return Response(await gateway.ownership.read_deployment(scope, deployment_id), media_type=_JSON)


@router.get("/flows/{flow_id}")
async def read_flow(flow_id: UUID, scope: Within, gateway: Prefect) -> Response:
    """A flow that is deployed on the work pool."""
    return Response(await gateway.ownership.read_flow(scope, flow_id), media_type=_JSON)


@router.get("/flow_runs/{flow_run_id}")
async def read_flow_run(flow_run_id: UUID, scope: Within, gateway: Prefect) -> Response:
    """A flow run within the scope."""
    return _passed_on(await gateway.ownership.read_flow_run(scope, flow_run_id))


@router.patch("/flow_runs/{flow_run_id}")
async def patch_flow_run(flow_run_id: UUID, scope: Within, gateway: Prefect, body: PatchBody) -> Response:
    """Note the process and the retry policy of a flow run."""
    return _passed_on(await gateway.patch_flow_run(scope, flow_run_id, body))


@router.patch("/flow_runs/{flow_run_id}/labels")
async def label_flow_run(flow_run_id: UUID, scope: WithinPool, gateway: Prefect, body: LabelsBody) -> Response:
    """Note the worker of a flow run."""
    return _passed_on(await gateway.label_flow_run(scope, flow_run_id, body))


@router.post("/flow_runs/{flow_run_id}/set_state")
async def set_state(flow_run_id: UUID, scope: Within, gateway: Prefect, body: StateBody) -> Response:
    """Move a flow run to another state."""
    return _passed_on(await gateway.set_state(scope, flow_run_id, body))


@router.post("/flow_runs/filter")
async def search_flow_runs(scope: Within, gateway: Prefect, body: SearchBody) -> list[dict[str, Any]]:
    """Which of some flow runs shall stop, for clients whose WebSockets don't get through."""
    return await gateway.search_flow_runs(scope, body)


@router.post("/logs/")
async def write_logs(scope: Within, gateway: Prefect, body: LogsBody) -> Response:
    """Add to the logs of flow runs."""
    return _passed_on(await gateway.write_logs(scope, body))


@router.post("/events")
async def write_events(scope: Within, gateway: Prefect, body: EventsBody) -> Response:
    """Tell what happened in flow runs: the same as by WebSocket, many at once."""
    return _passed_on(await gateway.tell_events(scope, body))


@router.api_route("/{path:path}", methods=_EVERY_METHOD)
async def refuse(path: str, request: Request, _scope: Within) -> None:
    """Everything else of Prefect's API."""
    raise Forbidden(
        f"{request.method} /{path} of Prefect's API isn't for workers and flow runs. What people need is in the control"
        " plane's own API, described at /api/docs."
    )

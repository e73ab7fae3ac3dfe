"""`/run-history/api`: what Prefect's UI reads of Prefect's API, narrowed to what the caller may see. It never writes.

It stands in no OpenAPI document of ours: the contract is Prefect's. What of it is served: docs/run-history.md.
"""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from uuid import UUID

import httpx
from fastapi import APIRouter, Body, Depends, Request, Response
from fastapi.responses import JSONResponse

from control_plane.auth.dependencies import MayReadRuns
from control_plane.problems import Forbidden
from control_plane.run_history import calls
from control_plane.run_history.events import CountOfEvents, Events, EventsAsked
from control_plane.run_history.history import FlowIds, FlowRunIds, Logs, RunHistory
from control_plane.run_history.narrowing import Asked
from control_plane.run_history.scope import Scope, Scopes

PREFIX = "/run-history/api"

router = APIRouter(prefix=PREFIX, include_in_schema=False)

_JSON = "application/json"
_EVERY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


async def _scope(request: Request, principal: MayReadRuns) -> Scope:
    scopes: Scopes = request.app.state.run_history_scopes
    return await scopes.of(principal)


async def _history(request: Request) -> RunHistory:
    history: RunHistory = request.app.state.run_history
    return history


async def _events(request: Request) -> Events:
    events: Events = request.app.state.run_history_events
    return events


Within = Annotated[Scope, Depends(_scope)]
History = Annotated[RunHistory, Depends(_history)]
HistoryOfEvents = Annotated[Events, Depends(_events)]


def _answer(content: bytes) -> Response:
    return Response(content, media_type=_JSON)


def _passed_on(response: httpx.Response) -> Response:
    return _answer(response.content)


def _narrowed(path: str) -> Callable[..., Coroutine[Any, Any, Response]]:
    async def listed(scope: Within, history: History, asked: Annotated[Asked | None, Body()] = None) -> Response:
        return _answer(await history.listed(scope, path, asked or Asked()))

    return listed


def _of_flow_run(path: str) -> Callable[..., Coroutine[Any, Any, Response]]:
    async def read(flow_run_id: UUID, scope: Within, history: History) -> Response:
        return _passed_on(await history.within_flow_run(scope, flow_run_id, path))

    return read


def _of_work_pool(path: str) -> Callable[..., Coroutine[Any, Any, Response]]:
    async def listed(
        name: str, scope: Within, history: History, asked: Annotated[Asked | None, Body()] = None
    ) -> Response:
        return _passed_on(await history.within_work_pool(scope, name, path, asked or Asked()))

    return listed


def _fixed(answer: Any) -> Callable[..., Coroutine[Any, Any, Response]]:
    async def fixed(_scope: Within) -> Response:
        return JSONResponse(answer)

    return fixed


for _path in calls.NARROWED:
    router.add_api_route(_path, _narrowed(_path), methods=["POST"])
for (_method, _path), _said in calls.FIXED.items():
    router.add_api_route(_path, _fixed(_said), methods=[_method])
for _path in calls.WITHIN_FLOW_RUN:
    router.add_api_route(f"/flow_runs/{{flow_run_id}}{_path}", _of_flow_run(_path), methods=["GET"])
for _path in calls.WITHIN_WORK_POOL:
    router.add_api_route(f"/work_pools/{{name}}{_path}", _of_work_pool(_path), methods=["POST"])


@router.get("/admin/version")
async def version(request: Request, _scope: Within) -> Response:
    """The version of Prefect's server."""
    return Response(await request.app.state.prefect_gateway.version(), media_type=_JSON)


@router.get("/csrf-token")
async def csrf_token(_scope: Within) -> Response:
    """There is none: where a request comes from is seen by its Origin."""
    return JSONResponse({"detail": "CSRF protection is disabled."}, status_code=422)


@router.get("/flow_runs/{flow_run_id}")
async def read_flow_run(flow_run_id: UUID, scope: Within, history: History) -> Response:
    """A flow run."""
    return _passed_on(await history.belonging.read_flow_run(scope, flow_run_id))


@router.get("/flow_run_states/")
async def read_flow_run_states(flow_run_id: UUID, scope: Within, history: History) -> Response:
    """The states that a flow run has been in."""
    return _passed_on(await history.states_of_flow_run(scope, flow_run_id))


@router.get("/task_run_states/")
async def read_task_run_states(task_run_id: UUID, scope: Within, history: History) -> Response:
    """The states that a task run has been in."""
    return _passed_on(await history.states_of_task_run(scope, task_run_id))


@router.get("/task_runs/{task_run_id}")
async def read_task_run(task_run_id: UUID, scope: Within, history: History) -> Response:
    """A task run."""
    return _passed_on(await history.task_run(scope, task_run_id, ""))


@router.get("/ui/task_runs/{task_run_id}")
async def read_task_run_for_page(task_run_id: UUID, scope: Within, history: History) -> Response:
    """A task run, with the name of its flow run."""
    return _passed_on(await history.task_run(scope, task_run_id, "/ui"))


@router.get("/flows/{flow_id}")
async def read_flow(flow_id: UUID, scope: Within, history: History) -> Response:
    """A flow that is deployed for the caller."""
    return JSONResponse(await history.belonging.read_flow(scope, flow_id))


@router.get("/deployments/{deployment_id}")
async def read_deployment(deployment_id: UUID, scope: Within, history: History) -> Response:
    """A deployment."""
    return _passed_on(await history.belonging.read_deployment(scope, deployment_id))


@router.get("/work_queues/{queue_id}")
async def read_work_queue(queue_id: UUID, scope: Within, history: History) -> Response:
    """A queue."""
    return _passed_on(await history.belonging.read_work_queue(scope, queue_id))


@router.get("/work_pools/{name}")
async def read_work_pool(name: str, scope: Within, history: History) -> Response:
    """A work pool."""
    return _passed_on(await history.work_pool(scope, name))


@router.get("/work_pools/{work_pool}/queues/{name}")
async def read_queue_of_pool(work_pool: str, name: str, scope: Within, history: History) -> Response:
    """A queue of a work pool."""
    return JSONResponse(await history.work_queue(scope, work_pool, name))


@router.post("/logs/filter")
async def read_logs(scope: Within, history: History, asked: Annotated[Logs, Body()]) -> Response:
    """Lines of the logs of named flow runs."""
    return _passed_on(await history.logs(scope, asked))


@router.post("/ui/flow_runs/count-task-runs")
async def count_task_runs(scope: Within, history: History, asked: Annotated[FlowRunIds, Body()]) -> Response:
    """How many task runs flow runs have."""
    return _answer(await history.count_task_runs(scope, asked))


@router.post("/ui/flows/count-deployments")
async def count_deployments(scope: Within, history: History, asked: Annotated[FlowIds, Body()]) -> Response:
    """How many deployments of the caller's flows have."""
    return _answer(await history.count_deployments(scope, asked))


@router.post("/ui/flows/next-runs")
async def next_runs(scope: Within, history: History, asked: Annotated[FlowIds, Body()]) -> Response:
    """Which of the caller's flow runs comes next."""
    return _answer(await history.next_runs(scope, asked))


@router.post("/events/filter")
async def read_events(scope: Within, events: HistoryOfEvents, asked: Annotated[EventsAsked, Body()]) -> Response:
    """One page of events: Prefect's tokens for the next hold the filter, so there is no next."""
    return _answer(await events.page(scope, asked))


@router.post("/events/count-by/{countable}")
async def count_events(
    countable: CountOfEvents, scope: Within, events: HistoryOfEvents, asked: Annotated[EventsAsked, Body()]
) -> Response:
    """How many events there were."""
    return _answer(await events.count(scope, countable, asked))


@router.api_route("/{path:path}", methods=_EVERY_METHOD)
async def refuse(path: str, request: Request, _scope: Within) -> None:
    """Everything else of Prefect's API, and all that changes something."""
    raise Forbidden(
        f"{request.method} /{path} of Prefect's API isn't part of the run history, which is for reading. What changes"
        " something is in the control plane's own API, described at /api/docs."
    )

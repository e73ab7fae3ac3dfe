"""`/executions`."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from sse_starlette import EventSourceResponse

from control_plane.auth.dependencies import (
    Db,
    MayCancelExecutions,
    MayReadExecutions,
    MayStartExecutions,
    StillValid,
)
from control_plane.db import after_commit
from control_plane.events import service as events
from control_plane.events.schemas import EventRead
from control_plane.events.stream import follow
from control_plane.executions import service as executions
from control_plane.executions.dispatch import Dispatcher
from control_plane.executions.models import Execution
from control_plane.executions.schemas import ExecutionCreate, ExecutionRead
from control_plane.executions.service import ExecutionEnded
from control_plane.executions.state import Status
from control_plane.pagination import Paged
from control_plane.problems import Invalid, NotFound, problems
from control_plane.transactions import TenantRoute

router = APIRouter(prefix="/executions", tags=["executions"], route_class=TenantRoute)


async def _dispatcher(request: Request) -> Dispatcher:
    dispatcher: Dispatcher = request.app.state.dispatcher
    return dispatcher


Dispatch = Annotated[Dispatcher, Depends(_dispatcher)]


@router.post("", status_code=201, responses=problems(Invalid))
async def start_execution(
    body: ExecutionCreate,
    principal: MayStartExecutions,
    session: Db,
    dispatch: Dispatch,
    request: Request,
    response: Response,
) -> ExecutionRead:
    """Start one run of an agent. It is stored before this answers, and dispatched right after. Follow its `/stream`."""
    started = await executions.start(session, principal, body)
    execution = started.execution
    after_commit(session, partial(dispatch.dispatch_soon, execution.organization_id, started.run))
    response.headers["Location"] = f"/api/v1/executions/{execution.id}"
    return as_read(request, execution)


@router.get("")
async def list_executions(
    _: MayReadExecutions,
    session: Db,
    page: Paged,
    request: Request,
    agent_id: UUID | None = None,
    environment_id: UUID | None = None,
    status: Status | None = None,
    parent_execution_id: Annotated[
        UUID | None, Query(description="Only those that this execution has started.")
    ] = None,
    team_id: Annotated[UUID | None, Query(description="Only those that carried out this team.")] = None,
) -> list[ExecutionRead]:
    """Executions, newest first."""
    found = await executions.listed(
        session,
        page,
        agent_id=agent_id,
        environment_id=environment_id,
        status=status,
        parent_execution_id=parent_execution_id,
        team_id=team_id,
    )
    return [
        ExecutionRead.model_validate(row | {"flow_run_url": _run_url(request, row["flow_run_id"])}) for row in found
    ]


@router.get("/{execution_id}", responses=problems(NotFound))
async def get_execution(execution_id: UUID, _: MayReadExecutions, session: Db, request: Request) -> ExecutionRead:
    """One execution."""
    return as_read(request, await executions.get(session, execution_id))


@router.delete("/{execution_id}", status_code=204, responses=problems(NotFound, ExecutionEnded))
async def cancel_execution(execution_id: UUID, _: MayCancelExecutions, session: Db, dispatch: Dispatch) -> None:
    """Cancel an execution and what it has started. A running one ends as soon as its worker has stopped it."""
    execution = await executions.cancel(session, execution_id)
    after_commit(session, partial(dispatch.attend_soon, execution.organization_id, execution.id))
    after_commit(session, dispatch.reconcile_soon)  # for what it has started


@router.get("/{execution_id}/events", responses=problems(NotFound))
async def list_events(
    execution_id: UUID,
    _: MayReadExecutions,
    session: Db,
    after: Annotated[int, Query(ge=0, le=2_000_000_000, description="Only events with a higher number.")] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
) -> list[EventRead]:
    """The events of an execution in the order in which they happened."""
    await executions.get(session, execution_id)
    return [
        EventRead.model_validate(event) for event in await events.read(session, execution_id, after=after, limit=limit)
    ]


@router.get("/{execution_id}/stream", responses=problems(NotFound), response_class=EventSourceResponse)
async def stream_events(
    execution_id: UUID,
    principal: MayReadExecutions,
    request: Request,
    session: Db,
    still_valid: StillValid,
    last_event_id: Annotated[int, Header(ge=0, le=2_000_000_000)] = 0,
) -> EventSourceResponse:
    """The events of an execution as they happen (server-sent events). `Last-Event-ID` resumes without a gap."""
    await executions.get(session, execution_id)
    state = request.app.state
    return EventSourceResponse(
        follow(
            state.database,
            state.notifications,
            organization_id=principal.tenant,
            execution_id=execution_id,
            after=last_event_id,
            allowed=still_valid,
        ),
        ping=state.settings.stream_keepalive.total_seconds(),
        sep="\n",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def as_read(request: Request, execution: Execution) -> ExecutionRead:
    """An execution as the API tells it, with the address of its run in the orchestrator's own pages."""
    return ExecutionRead.of(execution, flow_run_url=_run_url(request, execution.flow_run_id))


def _run_url(request: Request, run_id: UUID | None) -> str | None:
    url: str | None = request.app.state.orchestrator.run_url(run_id) if run_id else None
    return url

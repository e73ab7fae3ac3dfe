"""`/worker/executions/{id}/children`: the worker protocol for agents that ask others. Bodies: `control_plane.wire`."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request

from control_plane.auth.dependencies import Db, MayReportExecution, StillValid
from control_plane.db import Database, after_commit
from control_plane.events.notifications import Notifications
from control_plane.executions import children, wake
from control_plane.executions.children import AnotherCall, TooDeep, TooManyChildren
from control_plane.executions.claims import LeaseLost
from control_plane.executions.router import Dispatch
from control_plane.executions.service import ExecutionEnded
from control_plane.executions.worker_router import Configured
from control_plane.problems import Forbidden, Invalid, NotFound, problems
from control_plane.wire.children import CallableAgents, Child, ChildRequest

router = APIRouter(prefix="/worker/executions/{execution_id}", tags=["worker protocol"])


@router.get("/agents", responses=problems(NotFound, LeaseLost, Forbidden))
async def agents(holder: MayReportExecution, session: Db) -> CallableAgents:
    """The agents that this execution may ask."""
    return await children.agents(session, holder)


@router.post(
    "/children",
    responses=problems(NotFound, Forbidden, LeaseLost, ExecutionEnded, AnotherCall, TooDeep, TooManyChildren, Invalid),
)
async def start(
    body: ChildRequest, holder: MayReportExecution, session: Db, dispatch: Dispatch, settings: Configured
) -> Child:
    """Ask another agent of the project, in an execution of its own. The same `key` gets the same execution again."""
    child, run = await children.start(session, holder, body, settings=settings)
    if run is not None:
        after_commit(session, partial(dispatch.dispatch_soon, holder.organization_id, run))
    return child


@router.get("/children/{child_id}", responses=problems(NotFound, LeaseLost))
async def wait(
    child_id: UUID,
    holder: MayReportExecution,
    request: Request,
    still_valid: StillValid,
    wait_seconds: Annotated[float, Query(ge=0, le=wake.LONGEST_WAIT.total_seconds(), allow_inf_nan=False)] = 0,
) -> Child:
    """How an execution that this one has started stands; waits for its end, if asked."""

    async def present() -> bool:
        return not await request.is_disconnected() and await still_valid()

    database: Database = request.app.state.database
    notifications: Notifications = request.app.state.notifications
    return await children.wait(database, notifications, holder, child_id, seconds=wait_seconds, present=present)


@router.delete("/children/{child_id}", responses=problems(NotFound, LeaseLost))
async def cancel(child_id: UUID, holder: MayReportExecution, session: Db, dispatch: Dispatch) -> Child:
    """Stop an execution that this one has started and whose answer it no longer wants."""
    child = await children.cancel(session, holder, child_id)
    after_commit(session, dispatch.reconcile_soon)
    return child

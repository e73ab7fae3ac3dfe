"""`/agents/{agent_id}/execute`: the short form of `POST /executions`."""

from functools import partial
from uuid import UUID

from fastapi import APIRouter, Request, Response

from control_plane.auth.dependencies import Db, MayStartExecutions
from control_plane.db import after_commit
from control_plane.executions import service as executions
from control_plane.executions.router import Dispatch, as_read
from control_plane.executions.schemas import AgentPrompt, ExecutionRead
from control_plane.problems import NotFound, problems
from control_plane.transactions import TenantRoute

router = APIRouter(prefix="/agents", tags=["executions"], route_class=TenantRoute)


@router.post("/{agent_id}/execute", status_code=201, responses=problems(NotFound))
async def execute_agent(
    agent_id: UUID,
    body: AgentPrompt,
    principal: MayStartExecutions,
    session: Db,
    dispatch: Dispatch,
    request: Request,
    response: Response,
) -> ExecutionRead:
    """Start one run of this agent. It is stored before this answers, and dispatched after. Follow its `/stream`."""
    started = await executions.start_prompt(session, principal, agent_id, body)
    execution = started.execution
    after_commit(session, partial(dispatch.dispatch_soon, execution.organization_id, started.run))
    response.headers["Location"] = f"/api/v1/executions/{execution.id}"
    return as_read(request, execution)

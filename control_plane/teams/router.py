"""`/teams`."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from control_plane.auth.dependencies import Db, MayReadAgents, MayStartExecutions, MayWriteAgents
from control_plane.contract import Text
from control_plane.db import after_commit
from control_plane.etags import CONDITIONAL, CREATED, TAGGED, Conditional, IfMatch, PreconditionFailed, tagged
from control_plane.executions.router import Dispatch, as_read
from control_plane.executions.schemas import AgentPrompt, ExecutionRead
from control_plane.pagination import Paged
from control_plane.problems import AlreadyExists, Invalid, NotFound, problems
from control_plane.teams import execution
from control_plane.teams import service as teams
from control_plane.teams.execution import TeamIncomplete
from control_plane.teams.schemas import TeamCreate, TeamMemberBody, TeamRead, TeamUpdate
from control_plane.teams.service import WholeTeam
from control_plane.toolset_configs.service import ToolsetDisabled
from control_plane.transactions import TenantRoute

router = APIRouter(prefix="/teams", tags=["teams"], route_class=TenantRoute)


@router.post("", status_code=201, responses=problems(AlreadyExists, Invalid) | CREATED)
async def create_team(body: TeamCreate, principal: MayWriteAgents, session: Db, response: Response) -> TeamRead:
    """Put agents together: one leads, and asks the others."""
    whole = await teams.create(session, principal.tenant, body)
    response.headers["Location"] = f"/api/v1/teams/{whole.team.id}"
    return tagged(response, _read(whole))


@router.get("")
async def list_teams(
    _: MayReadAgents,
    session: Db,
    page: Paged,
    name: Annotated[Text | None, Query(description="Only those of exactly this name.")] = None,
    environment_id: Annotated[UUID | None, Query(description="Only those of this environment.")] = None,
) -> list[TeamRead]:
    """Teams, newest first."""
    return [_read(found) for found in await teams.listed(session, page, name=name, environment_id=environment_id)]


@router.get("/{team_id}", responses=problems(NotFound) | CONDITIONAL)
async def get_team(team_id: UUID, _: MayReadAgents, session: Db, conditional: Conditional) -> TeamRead:
    """One team."""
    return conditional.answer(_read(await teams.get(session, team_id)))


@router.patch("/{team_id}", responses=problems(NotFound, AlreadyExists, PreconditionFailed, Invalid) | TAGGED)
async def change_team(
    team_id: UUID, body: TeamUpdate, _: MayWriteAgents, session: Db, if_match: IfMatch, response: Response
) -> TeamRead:
    """Change a team. Executions that have been created keep it as it was."""
    whole = await teams.get(session, team_id, lock=True)
    if_match.check(whole.team)
    return tagged(response, _read(await teams.change(session, whole, body)))


@router.delete("/{team_id}", status_code=204, responses=problems(NotFound, PreconditionFailed))
async def delete_team(team_id: UUID, _: MayWriteAgents, session: Db, if_match: IfMatch) -> None:
    """Delete a team, not its agents. Its name is free again; executions under way go on, and all can still be read."""
    whole = await teams.get(session, team_id, lock=True)
    if_match.check(whole.team)
    await teams.remove(session, whole.team)


@router.post(
    "/{team_id}/execute", status_code=201, responses=problems(NotFound, TeamIncomplete, ToolsetDisabled, Invalid)
)
async def execute_team(
    team_id: UUID,
    body: AgentPrompt,
    principal: MayStartExecutions,
    session: Db,
    dispatch: Dispatch,
    request: Request,
    response: Response,
) -> ExecutionRead:
    """Start one run of the team's leader, which asks the members. What they do are executions of their own."""
    started = await execution.start(session, principal, team_id, body)
    after_commit(session, partial(dispatch.dispatch_soon, started.execution.organization_id, started.run))
    response.headers["Location"] = f"/api/v1/executions/{started.execution.id}"
    return as_read(request, started.execution)


def _read(whole: WholeTeam) -> TeamRead:
    members = [TeamMemberBody(agent_id=member.agent_id, role=member.role) for member in whole.members]
    return TeamRead.of(whole.team, members=members)

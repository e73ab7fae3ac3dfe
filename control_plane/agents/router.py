"""`/agents`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from control_plane.agents import service as agents
from control_plane.agents.schemas import (
    AgentChange,
    AgentCreate,
    AgentRead,
    AgentRollback,
    AgentUpdate,
    AgentVersionRead,
    VersionNumber,
)
from control_plane.agents.service import CurrentAgent
from control_plane.auth.dependencies import Db, MayReadAgents, MayWriteAgents
from control_plane.contract import Text
from control_plane.etags import CONDITIONAL, CREATED, TAGGED, Conditional, IfMatch, PreconditionFailed, tagged
from control_plane.pagination import Paged
from control_plane.problems import AlreadyExists, Invalid, NotFound, problems
from control_plane.transactions import TenantRoute

router = APIRouter(prefix="/agents", tags=["agents"], route_class=TenantRoute)

VersionInPath = Annotated[VersionNumber, Path()]


@router.post(
    "", status_code=201, response_model_exclude_unset=True, responses=problems(AlreadyExists, Invalid) | CREATED
)
async def create_agent(body: AgentCreate, principal: MayWriteAgents, session: Db, response: Response) -> AgentRead:
    """Describe an agent: its model, instructions, toolsets and policies."""
    current = await agents.create(session, principal.tenant, body)
    response.headers["Location"] = f"/api/v1/agents/{current.agent.id}"
    return tagged(response, _read(current))


@router.get("", response_model_exclude_unset=True)
async def list_agents(
    _: MayReadAgents,
    session: Db,
    page: Paged,
    name: Annotated[Text | None, Query(description="Only those of exactly this name.")] = None,
    environment_id: Annotated[UUID | None, Query(description="Only those of this environment.")] = None,
) -> list[AgentRead]:
    """Agents, newest first."""
    return [_read(found) for found in await agents.listed(session, page, name=name, environment_id=environment_id)]


@router.get("/{agent_id}", response_model_exclude_unset=True, responses=problems(NotFound) | CONDITIONAL)
async def get_agent(agent_id: UUID, _: MayReadAgents, session: Db, conditional: Conditional) -> AgentRead:
    """One agent in its current version."""
    return conditional.answer(_read(await agents.get(session, agent_id)))


@router.patch(
    "/{agent_id}",
    response_model_exclude_unset=True,
    responses=problems(NotFound, AlreadyExists, PreconditionFailed, Invalid) | TAGGED,
)
async def change_agent(
    agent_id: UUID, body: AgentUpdate, _: MayWriteAgents, session: Db, if_match: IfMatch, response: Response
) -> AgentRead:
    """Change an agent, which makes a new version. Changes that change nothing make none.

    Executions that have been created keep the version they began with.
    """
    current = await agents.get(session, agent_id, lock=True)
    if_match.check(current.agent)
    return tagged(response, _read(await agents.change(session, current, body)))


@router.delete("/{agent_id}", status_code=204, responses=problems(NotFound, PreconditionFailed))
async def delete_agent(agent_id: UUID, _: MayWriteAgents, session: Db, if_match: IfMatch) -> None:
    """Delete an agent, and what is bound to it. Its name is free again.

    Executions under way go on as they were planned; they, and the versions of the agent, can still be read.
    """
    current = await agents.get(session, agent_id, lock=True)
    if_match.check(current.agent)
    await agents.delete(session, current)


@router.post(
    "/{agent_id}/rollback",
    response_model_exclude_unset=True,
    responses=problems(NotFound, AlreadyExists, PreconditionFailed, Invalid) | TAGGED,
)
async def roll_back_agent(
    agent_id: UUID, body: AgentRollback, _: MayWriteAgents, session: Db, if_match: IfMatch, response: Response
) -> AgentRead:
    """Go back to an old version: a new version that equals it, so that nothing is lost from the history."""
    current = await agents.get(session, agent_id, lock=True)
    if_match.check(current.agent)
    return tagged(response, _read(await agents.roll_back(session, current, to=body.version)))


@router.get("/{agent_id}/versions", response_model_exclude_unset=True, responses=problems(NotFound))
async def list_agent_versions(agent_id: UUID, _: MayReadAgents, session: Db, page: Paged) -> list[AgentVersionRead]:
    """Every version of an agent, newest first; also of one that is deleted."""
    return [AgentVersionRead.model_validate(found) for found in await agents.versions(session, page, agent_id)]


@router.get("/{agent_id}/versions/{version}", response_model_exclude_unset=True, responses=problems(NotFound))
async def get_agent_version(agent_id: UUID, version: VersionInPath, _: MayReadAgents, session: Db) -> AgentVersionRead:
    """One version of an agent, such as the one an execution ran; also of an agent that is deleted."""
    return AgentVersionRead.model_validate(await agents.version(session, agent_id, version))


@router.get("/{agent_id}/versions/{version}/diff", responses=problems(NotFound, Invalid))
async def diff_agent_versions(
    agent_id: UUID,
    version: VersionInPath,
    _: MayReadAgents,
    session: Db,
    against: Annotated[
        VersionNumber | None, Query(description="The version to compare with; without it the one before.")
    ] = None,
) -> list[AgentChange]:
    """What is different in this version from another, field by field."""
    changes = await agents.difference(session, agent_id, version, against=against)
    return [AgentChange(field=field, before=before, after=after) for field, before, after in changes]


def _read(current: CurrentAgent) -> AgentRead:
    return AgentRead.of(current.agent, current.version)

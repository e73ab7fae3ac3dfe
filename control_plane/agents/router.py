"""`/agents`."""

from uuid import UUID

from fastapi import APIRouter, Response

from control_plane.agents import service as agents
from control_plane.agents.schemas import AgentCreate, AgentRead
from control_plane.agents.service import CurrentAgent
from control_plane.auth.dependencies import Db, MayReadAgents, MayWriteAgents
from control_plane.contract import Text
from control_plane.pagination import Paged
from control_plane.problems import AlreadyExists, Invalid, NotFound, problems

router = APIRouter(prefix="/agents", tags=["agents"])


@router.post("", status_code=201, response_model_exclude_unset=True, responses=problems(AlreadyExists, Invalid))
async def create_agent(body: AgentCreate, principal: MayWriteAgents, session: Db, response: Response) -> AgentRead:
    """Describe an agent: its model, instructions, toolsets and policies."""
    current = await agents.create(session, principal.tenant, body)
    response.headers["Location"] = f"/api/v1/agents/{current.agent.id}"
    return _read(current)


@router.get("", response_model_exclude_unset=True)
async def list_agents(
    _: MayReadAgents, session: Db, page: Paged, name: Text | None = None, environment_id: UUID | None = None
) -> list[AgentRead]:
    """Agents, newest first."""
    return [_read(found) for found in await agents.listed(session, page, name=name, environment_id=environment_id)]


@router.get("/{agent_id}", response_model_exclude_unset=True, responses=problems(NotFound))
async def get_agent(agent_id: UUID, _: MayReadAgents, session: Db) -> AgentRead:
    """One agent in its current version."""
    return _read(await agents.get(session, agent_id))


def _read(current: CurrentAgent) -> AgentRead:
    return AgentRead.of(current.agent, current.version)

"""Agents."""

from dataclasses import dataclass
from importlib.metadata import entry_points
from uuid import UUID, uuid4

from sqlalchemy import select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.agents.models import Agent, AgentVersion
from control_plane.agents.schemas import AgentCreate
from control_plane.environments import service as environments
from control_plane.pagination import Page
from control_plane.policy_bindings import service as policies
from control_plane.problems import AlreadyExists, Invalid, NotFound
from flows.runtimes.protocol import ENTRY_POINT_GROUP


@dataclass(frozen=True, slots=True)
class CurrentAgent:
    """An agent together with the version that counts now."""

    agent: Agent
    version: AgentVersion


async def create(session: AsyncSession, organization_id: UUID, body: AgentCreate) -> CurrentAgent:
    """A new agent, version 1. Raises `Invalid` for a name it refers to in vain, `AlreadyExists` if its own is taken."""
    known = sorted(entry.name for entry in entry_points(group=ENTRY_POINT_GROUP))
    if body.agent_type not in known:
        raise Invalid(
            f"There is no agent type {body.agent_type!r}. Known are: {', '.join(known)}.", location="body.agent_type"
        )
    try:
        environment = await environments.get(session, body.environment_id)
    except NotFound as error:
        raise Invalid(error.detail, location="body.environment_id") from error
    await policies.resolve(session, body.policies)
    agent = Agent(
        id=uuid4(),
        organization_id=organization_id,
        project_id=environment.project_id,
        environment_id=environment.id,
        name=body.name,
        version=1,
    )
    version = AgentVersion(
        organization_id=organization_id,
        agent_id=agent.id,
        version=1,
        description=body.description,
        instructions=body.instructions,
        agent_type=body.agent_type,
        llm_config=body.llm_config.model_dump(exclude_unset=True),
        toolsets=body.toolsets,
        policies=body.policies,
    )
    session.add(agent)
    try:
        await session.flush()
    except IntegrityError as error:
        raise AlreadyExists(
            f"There is an agent {body.name!r} in this environment already. Choose another name."
        ) from error
    session.add(version)
    await session.flush()
    return CurrentAgent(agent, version)


async def get(session: AsyncSession, agent_id: UUID) -> CurrentAgent:
    """One agent in its current version. Raises `NotFound`."""
    agent = await session.scalar(select(Agent).where(Agent.id == agent_id))
    if agent is None:
        raise NotFound.of("agent", agent_id)
    return (await _with_versions(session, [agent]))[0]


async def listed(
    session: AsyncSession, page: Page, *, name: str | None, environment_id: UUID | None
) -> list[CurrentAgent]:
    """A page of agents."""
    statement = select(Agent)
    if name is not None:
        statement = statement.where(Agent.name == name)
    if environment_id is not None:
        statement = statement.where(Agent.environment_id == environment_id)
    return await _with_versions(session, await page.fetch(session, statement, Agent))


async def _with_versions(session: AsyncSession, agents: list[Agent]) -> list[CurrentAgent]:
    wanted = [(agent.id, agent.version) for agent in agents]
    found = await session.scalars(
        select(AgentVersion).where(tuple_(AgentVersion.agent_id, AgentVersion.version).in_(wanted))
    )
    versions = {version.agent_id: version for version in found}
    return [CurrentAgent(agent, versions[agent.id]) for agent in agents]

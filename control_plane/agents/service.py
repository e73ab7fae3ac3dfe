"""Agents."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.agents import prompts
from control_plane.agents.models import Agent, AgentVersion
from control_plane.agents.schemas import AgentContent, AgentCreate, AgentUpdate
from control_plane.contract import checked
from control_plane.environments import service as environments
from control_plane.pagination import Page
from control_plane.policies import service as policies
from control_plane.problems import AlreadyExists, Invalid, NotFound
from flows.runtimes.installed import known

_SETTINGS = ("llm_config", "limits")
"""The fields of an agent that are changed setting by setting."""


@dataclass(frozen=True, slots=True)
class CurrentAgent:
    """An agent together with the version that counts now."""

    agent: Agent
    version: AgentVersion


async def create(session: AsyncSession, organization_id: UUID, body: AgentCreate) -> CurrentAgent:
    """A new agent, version 1. Raises `Invalid` for a name it refers to in vain, `AlreadyExists` if its own is taken."""
    await _check(session, body)
    try:
        environment = await environments.get(session, body.environment_id)
    except NotFound as error:
        raise Invalid(error.detail, location="body.environment_id") from error
    agent = Agent(
        id=uuid4(),
        organization_id=organization_id,
        project_id=environment.project_id,
        environment_id=environment.id,
        version=1,
    )
    return await _store(session, agent, body)


async def get(session: AsyncSession, agent_id: UUID, *, lock: bool = False) -> CurrentAgent:
    """One agent in its current version, locked until the transaction ends if asked. Raises `NotFound`."""
    statement = select(Agent).where(Agent.id == agent_id, Agent.deleted_at.is_(None))
    agent = await session.scalar(statement.with_for_update(key_share=True) if lock else statement)
    if agent is None:
        raise NotFound.of("agent", agent_id)
    return (await _with_versions(session, [agent]))[0]


async def listed(
    session: AsyncSession, page: Page, *, name: str | None, environment_id: UUID | None
) -> list[CurrentAgent]:
    """A page of agents."""
    statement = select(Agent).where(Agent.deleted_at.is_(None))
    if name is not None:
        statement = statement.where(Agent.name == name)
    if environment_id is not None:
        statement = statement.where(Agent.environment_id == environment_id)
    return await _with_versions(session, await page.fetch(session, statement, Agent))


async def naming(session: AsyncSession, policy: str) -> list[Agent]:
    """The agents whose current version names a policy."""
    statement = (
        select(Agent)
        .join(AgentVersion, (AgentVersion.agent_id == Agent.id) & (AgentVersion.version == Agent.version))
        .where(Agent.deleted_at.is_(None), AgentVersion.policies.contains([policy]))
    )
    return list(await session.scalars(statement.order_by(Agent.name)))


async def change(session: AsyncSession, current: CurrentAgent, body: AgentUpdate) -> CurrentAgent:
    """A new version of a locked agent with these changes; the same one if they change nothing. Raises as `create`."""
    before = _document(current.version)
    changes = body.changes()
    merged = before | changes | {name: _merged(before[name], changes.get(name, {})) for name in _SETTINGS}
    return await _advance(session, current, checked(AgentContent, merged, location="body"))


async def roll_back(session: AsyncSession, current: CurrentAgent, *, to: int) -> CurrentAgent:
    """A new version of a locked agent that equals an old one. Raises `Invalid` if there is none or it can't be used."""
    try:
        old = await version(session, current.agent.id, to)
    except NotFound as error:
        raise Invalid(error.detail, location="body.version") from error
    return await _advance(session, current, AgentContent.model_validate(_document(old)), location="body.version")


async def delete(session: AsyncSession, current: CurrentAgent) -> None:
    """Take a locked agent away. Its executions, and the versions they ran, can still be read."""
    await policies.release(session, agent_id=current.agent.id)
    current.agent.deleted_at = func.clock_timestamp()
    await session.flush()


async def versions(session: AsyncSession, page: Page, agent_id: UUID) -> list[AgentVersion]:
    """A page of the versions of an agent, deleted or not, newest first. Raises `NotFound`."""
    if await session.scalar(select(Agent.id).where(Agent.id == agent_id)) is None:
        raise NotFound.of("agent", agent_id)
    statement = select(AgentVersion).where(AgentVersion.agent_id == agent_id)
    return await page.fetch_numbered(session, statement, AgentVersion.version)


async def version(session: AsyncSession, agent_id: UUID, number: int) -> AgentVersion:
    """One version of an agent, deleted or not. Raises `NotFound`."""
    found = await session.scalar(
        select(AgentVersion)
        .join(Agent, Agent.id == AgentVersion.agent_id)
        .where(AgentVersion.agent_id == agent_id, AgentVersion.version == number)
    )
    if found is None:
        raise NotFound.of("agent version", f"{agent_id}/{number}")
    return found


async def difference(
    session: AsyncSession, agent_id: UUID, number: int, *, against: int | None
) -> list[tuple[str, Any, Any]]:
    """The fields that changed from version `against`, or the one before, to `number`, with both values.

    Raises `NotFound`, or `Invalid` if there is nothing to compare with.
    """
    after = await version(session, agent_id, number)
    try:
        before = await version(session, agent_id, number - 1 if against is None else against)
    except NotFound as error:
        raise Invalid(f"There is nothing to compare with. {error.detail}", location="query.against") from error
    return _differences(_document(before), _document(after))


async def _advance(
    session: AsyncSession, current: CurrentAgent, content: AgentContent, *, location: str | None = None
) -> CurrentAgent:
    if not _differences(_document(current.version), _stored(content)):
        return current
    await _check(session, content, location=location)
    current.agent.version += 1
    return await _store(session, current.agent, content)


async def _store(session: AsyncSession, agent: Agent, content: AgentContent) -> CurrentAgent:
    agent.name = content.name
    session.add(agent)
    try:
        await session.flush()
    except IntegrityError as error:
        raise AlreadyExists(
            f"There is an agent {content.name!r} in this environment already. Choose another name."
        ) from error
    version = AgentVersion(
        organization_id=agent.organization_id, agent_id=agent.id, version=agent.version, **_stored(content)
    )
    session.add(version)
    await session.flush()
    return CurrentAgent(agent, version)


async def _check(session: AsyncSession, content: AgentContent, *, location: str | None = None) -> None:
    runtimes = known()
    if content.agent_type not in runtimes:
        raise Invalid(
            f"There is no agent type {content.agent_type!r}. Known are: {', '.join(runtimes)}.",
            location=location or "body.agent_type",
        )
    prompts.check(content.instructions, content.variables, location=location or "body.instructions")
    await policies.resolve(session, content.policies, location=location or "body.policies", keep=True)


def _stored(content: AgentContent) -> dict[str, Any]:
    # What was left out of the settings stays out, so that they come back as they were sent.
    values = content.model_dump(include=AgentContent.model_fields.keys() - set(_SETTINGS))
    return values | {name: getattr(content, name).model_dump(exclude_unset=True) for name in _SETTINGS}


def _document(version: AgentVersion) -> dict[str, Any]:
    return {field: getattr(version, field) for field in AgentContent.model_fields}


def _merged(before: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in (before | changes).items() if field not in changes or value is not None}


def _differences(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    old, new = _flat(before), _flat(after)
    return [
        (field, old.get(field), new.get(field))
        for field in dict.fromkeys([*old, *new])
        if old.get(field) != new.get(field)
    ]


def _flat(document: dict[str, Any]) -> dict[str, Any]:
    settings = {f"{name}.{field}": value for name in _SETTINGS for field, value in document[name].items()}
    return {field: value for field, value in document.items() if field not in _SETTINGS} | settings


async def _with_versions(session: AsyncSession, agents: list[Agent]) -> list[CurrentAgent]:
    wanted = [(agent.id, agent.version) for agent in agents]
    found = await session.scalars(
        select(AgentVersion).where(tuple_(AgentVersion.agent_id, AgentVersion.version).in_(wanted))
    )
    versions = {version.agent_id: version for version in found}
    return [CurrentAgent(agent, versions[agent.id]) for agent in agents]

"""Which agents an execution may ask: the members of its team, else those that the settings of its toolset name."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, String, and_, case, cast, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.agents.models import Agent, AgentVersion
from control_plane.environments.models import Environment
from control_plane.executions.models import Execution
from control_plane.problems import Forbidden, NotFound
from control_plane.wire.children import CallableAgent, CallableAgents
from control_plane.wire.plan import Plan
from toolsets.builtin.agent import AgentSettings
from toolsets.configuration import SettingsInvalid, validated

TOOLSET = "agent"
MOST_LISTED = 100


async def listed(session: AsyncSession, execution: Execution, plan: Plan) -> CallableAgents:
    """The first of them by name. Raises `Forbidden` if the agent hasn't the toolset."""
    found = (await session.execute(_statement(execution, plan).limit(MOST_LISTED + 1))).all()
    return CallableAgents(agents=[_read(row, plan) for row in found[:MOST_LISTED]], more=len(found) > MOST_LISTED)


async def find(session: AsyncSession, execution: Execution, plan: Plan, asked: str) -> CallableAgent:
    """The one that is asked for, by its name or its id. Raises `NotFound` with those there are, or `Forbidden`."""
    statement = _statement(execution, plan)
    named = statement.where(or_(_name(execution) == asked, _id() == asked.lower()))
    rows = (await session.execute(named.limit(2))).all()
    if len(rows) == 1:
        return _read(rows[0], plan)
    if rows:
        raise NotFound(f"There are two agents {asked}. Ask by id: {rows[0].id} or {rows[1].id}.")
    there = await listed(session, execution, plan)
    names = ", ".join(agent.name for agent in there.agents) or "none"
    raise NotFound(f"There is no agent {asked} that this execution may ask. There are: {names}.")


def _statement(execution: Execution, plan: Plan) -> Any:
    return (
        select(Agent.id, _name(execution).label("name"), AgentVersion.description)
        .join(AgentVersion, and_(AgentVersion.agent_id == Agent.id, AgentVersion.version == Agent.version))
        .join(Environment, Environment.id == Agent.environment_id)
        .where(
            # Whatever a plan names: nothing of another project.
            Agent.project_id == execution.project_id,
            Agent.deleted_at.is_(None),
            _admitted(execution, plan),
        )
        .order_by(Environment.id != execution.environment_id, Agent.name, Agent.id)
    )


def _name(execution: Execution) -> ColumnElement[str]:
    elsewhere = Environment.slug + "/" + Agent.name
    return case((Agent.environment_id == execution.environment_id, Agent.name), else_=elsewhere)


def _admitted(execution: Execution, plan: Plan) -> ColumnElement[bool]:
    toolset = next((one for one in plan.toolsets if one.name == TOOLSET), None)
    if toolset is None:
        raise Forbidden(f"The agent {plan.agent.name} may ask no other agents: it hasn't the toolset {TOOLSET}.")
    try:
        settings = validated(TOOLSET, AgentSettings, toolset.settings)
    except SettingsInvalid as error:
        raise Forbidden(str(error)) from error
    assert isinstance(settings, AgentSettings)  # noqa: S101 - what was validated, under a wider type
    named = [] if settings.agents is None else [or_(_name(execution).in_(settings.agents), _id().in_(settings.agents))]
    if plan.team:
        # Also of a team no agent is asked that whoever runs the environment hasn't admitted.
        return and_(Agent.id.in_([member.agent_id for member in plan.team.members]), *named)
    return and_(*(named or [Agent.environment_id == execution.environment_id, Agent.id != execution.agent_id]))


def _id() -> ColumnElement[str]:
    return cast(Agent.id, String)


def _read(row: Row[Any], plan: Plan) -> CallableAgent:
    found: UUID = row.id
    roles = {member.agent_id: member.role for member in plan.team.members} if plan.team else {}
    return CallableAgent(id=found, name=row.name, description=row.description, role=roles.get(found, ""))

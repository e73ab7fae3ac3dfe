"""The plan of an execution: everything it may use, frozen when it is created."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Row, and_, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.agents import prompts
from control_plane.agents.models import Agent, AgentVersion
from control_plane.environments.models import Environment
from control_plane.organizations.models import Organization
from control_plane.policies import service as policies
from control_plane.problems import Invalid, NotFound
from control_plane.projects.models import Project
from control_plane.toolset_configs import service as toolset_configs
from control_plane.wire.plan import AgentPlan, ExecutionInput, Limits, ModelPlan, Named, Plan

INPUT = "body.input"
"""Where in a request for an execution that stands which an agent is asked."""

# One round trip for everything around an agent: executions are started far more often than anything else is asked.
_AROUND = (
    select(
        Organization.id.label("organization_id"),
        Organization.slug.label("organization"),
        Project.id.label("project_id"),
        Project.slug.label("project"),
        Environment.id.label("environment_id"),
        Environment.slug.label("environment"),
        Environment.work_pool,
        Environment.llm_override,
        Agent.id.label("agent_id"),
        Agent.name.label("agent"),
        AgentVersion.version,
        AgentVersion.agent_type,
        AgentVersion.instructions,
        AgentVersion.llm_config,
        AgentVersion.toolsets,
        AgentVersion.policies,
        AgentVersion.variables,
        AgentVersion.limits,
        AgentVersion.output_schema,
        policies.applying(
            AgentVersion.policies.expression,
            project_id=Environment.project_id.expression,
            environment_id=Agent.environment_id.expression,
            agent_id=Agent.id.expression,
            of=(Agent, AgentVersion, Environment),
        ).label("applying"),
        toolset_configs.applying(
            project_id=Environment.project_id.expression,
            environment_id=Agent.environment_id.expression,
            of=(Agent, Environment),
        ).label("toolset_configs"),
        func.now().label("moment"),
    )
    .select_from(Agent)
    .join(AgentVersion, and_(AgentVersion.agent_id == Agent.id, AgentVersion.version == Agent.version))
    .join(Environment, Environment.id == Agent.environment_id)
    .join(Project, Project.id == Environment.project_id)
    .join(Organization, Organization.id == Agent.organization_id)
    .where(Agent.id == bindparam("agent_id"), Agent.deleted_at.is_(None))
)


class Asked(Protocol):
    """What a requester wants of an agent."""

    message: str
    context: Any
    variables: Any
    output_schema: Any


@dataclass(frozen=True, slots=True)
class Place:
    """Where an execution belongs, the work pool that carries it out, and when its transaction began."""

    organization_id: UUID
    project_id: UUID
    environment_id: UUID
    work_pool: str
    moment: datetime


async def plan(
    session: AsyncSession,
    execution_id: UUID,
    *,
    agent_id: UUID,
    asked: Asked,
    requested_by: str,
    with_toolsets: Sequence[str] = (),
    at: str = INPUT,
) -> tuple[Place, Plan]:
    """What an execution of the agent's current version would do, and where.

    `with_toolsets` names some besides the agent's own; `at` is where in the request `asked` stands. Raises `NotFound`,
    and `Invalid` if a variable of the instructions has no value.
    """
    around = (await session.execute(_AROUND, {"agent_id": agent_id})).one_or_none()
    if around is None:
        raise NotFound.of("agent", agent_id)
    place = Place(around.organization_id, around.project_id, around.environment_id, around.work_pool, around.moment)
    planned = Plan(
        execution_id=execution_id,
        organization=Named(id=around.organization_id, name=around.organization),
        project=Named(id=around.project_id, name=around.project),
        environment=Named(id=around.environment_id, name=around.environment),
        agent=AgentPlan(
            id=around.agent_id,
            name=around.agent,
            version=around.version,
            agent_type=around.agent_type,
            instructions=_instructions(around, execution_id, asked, requested_by=requested_by, at=at),
        ),
        model=_model(around),
        toolsets=await toolset_configs.planned(
            [*dict.fromkeys([*around.toolsets, *with_toolsets])], around.toolset_configs
        ),
        policies=policies.decided_by(around.policies, around.applying),
        input=ExecutionInput(message=asked.message, context=asked.context),
        requested_by=requested_by,
        limits=Limits(**{name: value for name, value in around.limits.items() if value is not None}),
        output_schema=asked.output_schema or around.output_schema,
    )
    return place, planned


def _instructions(around: Row[Any], execution_id: UUID, asked: Asked, *, requested_by: str, at: str) -> str:
    if unknown := sorted(asked.variables.keys() - around.variables.keys()):
        known = ", ".join(sorted(around.variables)) or "none"
        raise Invalid(f"The agent has no variable {', '.join(unknown)}. It has {known}.", location=f"{at}.variables")
    values = {
        "agent": {"name": around.agent},
        "environment": {"name": around.environment},
        "execution": {"id": str(execution_id)},
        "organization": {"name": around.organization},
        "project": {"name": around.project},
        "requested_by": requested_by,
        "context": asked.context,
        "variables": around.variables | asked.variables,
    }
    return prompts.filled(around.instructions, values, location=at)


def _model(around: Row[Any]) -> ModelPlan:
    model: Mapping[str, Any] = around.llm_config | (around.llm_override or {})
    return ModelPlan(
        name=f"{model['provider']}/{model['model']}",
        temperature=model.get("temperature"),
        max_tokens=model.get("max_tokens"),
        reasoning_effort=model.get("reasoning_effort"),
    )

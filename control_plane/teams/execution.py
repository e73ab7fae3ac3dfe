"""Executions of teams: those of the leader, with the toolset to ask the members, as the team is at this moment."""

from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.agents.models import Agent
from control_plane.auth.principals import Principal
from control_plane.environments.models import Environment
from control_plane.executions import planning
from control_plane.executions import service as executions
from control_plane.executions.callable_agents import TOOLSET
from control_plane.executions.schemas import AgentPrompt
from control_plane.executions.service import Started
from control_plane.problems import Conflict, NotFound
from control_plane.teams import service as teams
from control_plane.teams.service import WholeTeam
from control_plane.wire.plan import Plan, TeamMemberPlan, TeamPlan

WORKFLOW_TYPE = "team_chat"


class TeamIncomplete(Conflict):
    """The leader of the team was deleted, or all of its members were. Change the team."""

    code, title = "team_incomplete", "The team lacks its leader or members"


async def start(session: AsyncSession, principal: Principal, team_id: UUID, body: AgentPrompt) -> Started:
    """Store an execution of a team as `pending`. The caller has it dispatched.

    Raises `NotFound`, `TeamIncomplete`, and what starting the leader itself does.
    """
    whole = await teams.get(session, team_id)
    asked = executions.asked_by(body)
    try:
        place, plan = await planning.plan(
            session,
            uuid4(),
            agent_id=whole.team.leader_agent_id,
            asked=asked,
            requested_by=principal.label,
            with_toolsets=[TOOLSET],
            at="body",
        )
    except NotFound as error:
        raise TeamIncomplete(f"The leader of the team was deleted: {error.detail}") from error
    return await executions.store(
        session,
        place,
        led(plan, await _planned(session, whole), instructions=whole.team.instructions),
        asked=asked,
        budget=body.budget,
        workflow_type=WORKFLOW_TYPE,
        requester_credential_id=principal.credential_id,
        requester_member_id=principal.member_id,
    )


def led(plan: Plan, team: TeamPlan, *, instructions: str) -> Plan:
    """The plan of a leader: its agent's own, with the members that it may ask and what it is told about them."""
    told = [
        plan.agent.instructions,
        (
            f"You lead the team {team.name}. Have its members do what they are there for with the tool {TOOLSET}_ask."
            " Each knows only what you write to it. Its members:"
        ),
        "\n".join(f"- {member.name}: {member.role or 'no role was given'}" for member in team.members),
        instructions,
    ]
    return plan.model_copy(
        update={
            "team": team,
            "agent": plan.agent.model_copy(update={"instructions": "\n\n".join(filter(None, told))}),
        }
    )


async def _planned(session: AsyncSession, whole: WholeTeam) -> TeamPlan:
    team = whole.team
    statement = (
        select(Agent.id, Agent.name, Agent.environment_id, Environment.slug)
        .join(Environment, Environment.id == Agent.environment_id)
        .where(Agent.id.in_([member.agent_id for member in whole.members]), Agent.deleted_at.is_(None))
    )
    names = {
        row.id: row.name if row.environment_id == team.environment_id else f"{row.slug}/{row.name}"
        for row in await session.execute(statement)
    }
    members = [
        TeamMemberPlan(agent_id=member.agent_id, name=names[member.agent_id], role=member.role)
        for member in whole.members
        if member.agent_id in names
    ]
    if not members:
        raise TeamIncomplete("All members of the team were deleted.")
    return TeamPlan(id=team.id, name=team.name, members=members, max_delegations=team.max_delegations)

"""Teams of agents."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.agents.models import Agent
from control_plane.contract import checked
from control_plane.environments import service as environments
from control_plane.pagination import Page
from control_plane.problems import AlreadyExists, Invalid, NotFound
from control_plane.teams.models import Team, TeamMember
from control_plane.teams.schemas import TeamContent, TeamCreate, TeamUpdate


@dataclass(frozen=True, slots=True)
class WholeTeam:
    """A team with its members, in the order in which they were named."""

    team: Team
    members: Sequence[TeamMember]


async def create(session: AsyncSession, organization_id: UUID, body: TeamCreate) -> WholeTeam:
    """A new team. Raises `Invalid` for an agent that can't be in it, `AlreadyExists` if its name is taken."""
    try:
        environment = await environments.get(session, body.environment_id)
    except NotFound as error:
        raise Invalid(error.detail, location="body.environment_id") from error
    team = Team(
        id=uuid4(),
        organization_id=organization_id,
        project_id=environment.project_id,
        environment_id=environment.id,
        version=0,
    )
    return await _store(session, team, body)


async def get(session: AsyncSession, team_id: UUID, *, lock: bool = False) -> WholeTeam:
    """One team, locked until the transaction ends if asked. Raises `NotFound`."""
    statement = select(Team).where(Team.id == team_id, Team.deleted_at.is_(None))
    team = await session.scalar(statement.with_for_update(key_share=True) if lock else statement)
    if team is None:
        raise NotFound.of("team", team_id)
    return (await _with_members(session, [team]))[0]


async def listed(
    session: AsyncSession, page: Page, *, name: str | None, environment_id: UUID | None
) -> list[WholeTeam]:
    """A page of teams."""
    statement = select(Team).where(Team.deleted_at.is_(None))
    if name is not None:
        statement = statement.where(Team.name == name)
    if environment_id is not None:
        statement = statement.where(Team.environment_id == environment_id)
    return await _with_members(session, await page.fetch(session, statement, Team))


async def change(session: AsyncSession, whole: WholeTeam, body: TeamUpdate) -> WholeTeam:
    """Change a locked team. Executions that have been created keep it as it was. Raises as `create`."""
    before = _document(whole)
    content = checked(TeamContent, before | body.changes(), location="body")
    if content.model_dump() == TeamContent.model_validate(before).model_dump():
        return whole
    return await _store(session, whole.team, content)


async def remove(session: AsyncSession, team: Team) -> None:
    """Take a locked team away. Its executions can still be read."""
    team.deleted_at = func.clock_timestamp()
    await session.flush()


async def _store(session: AsyncSession, team: Team, content: TeamContent) -> WholeTeam:
    await _check(session, team, content)
    for name in TeamContent.model_fields.keys() - {"members"}:
        setattr(team, name, getattr(content, name))
    team.version += 1
    session.add(team)
    try:
        await session.flush()
    except IntegrityError as error:
        raise AlreadyExists(
            f"There is a team {content.name!r} in this environment already. Choose another name."
        ) from error
    await session.execute(delete(TeamMember).where(TeamMember.team_id == team.id))
    members = [
        TeamMember(
            organization_id=team.organization_id,
            team_id=team.id,
            agent_id=member.agent_id,
            project_id=team.project_id,
            position=position,
            role=member.role,
        )
        for position, member in enumerate(content.members)
    ]
    session.add_all(members)
    await session.flush()
    return WholeTeam(team, members)


async def _check(session: AsyncSession, team: Team, content: TeamContent) -> None:
    asked = [content.leader_agent_id, *(member.agent_id for member in content.members)]
    statement = select(Agent).where(
        Agent.id.in_(asked), Agent.project_id == team.project_id, Agent.deleted_at.is_(None)
    )
    found = {agent.id: agent for agent in await session.scalars(statement)}
    leader = found.get(content.leader_agent_id)
    if leader is None or leader.environment_id != team.environment_id:
        raise Invalid(
            f"There is no agent {content.leader_agent_id} in the team's environment.", location="body.leader_agent_id"
        )
    for position, member in enumerate(content.members):
        if member.agent_id not in found:
            raise Invalid(
                f"There is no agent {member.agent_id} in the team's project.",
                location=f"body.members.{position}.agent_id",
            )
        if member.agent_id == leader.id:
            raise Invalid("The leader is no member: it would ask itself.", location=f"body.members.{position}.agent_id")


def _document(whole: WholeTeam) -> dict[str, Any]:
    fields = {name: getattr(whole.team, name) for name in TeamContent.model_fields.keys() - {"members"}}
    return fields | {"members": [{"agent_id": member.agent_id, "role": member.role} for member in whole.members]}


async def _with_members(session: AsyncSession, teams: Sequence[Team]) -> list[WholeTeam]:
    statement = (
        select(TeamMember).where(TeamMember.team_id.in_([team.id for team in teams])).order_by(TeamMember.position)
    )
    members: dict[UUID, list[TeamMember]] = {team.id: [] for team in teams}
    for member in await session.scalars(statement):
        members[member.team_id].append(member)
    return [WholeTeam(team, members[team.id]) for team in teams]

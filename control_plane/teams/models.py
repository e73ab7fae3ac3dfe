"""Agents that work together."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db import Base, Resource, TenantOwned


class Team(Base, Resource, TenantOwned):
    """A leader, which an execution of the team runs, and the members that it may ask.

    An execution has the team as it was in its plan, so there are no versions to keep; `version` counts the changes. A
    deleted team keeps its row, because executions point at it; its name is free again.
    """

    __tablename__ = "teams"

    project_id: Mapped[UUID]
    environment_id: Mapped[UUID]
    leader_agent_id: Mapped[UUID]
    name: Mapped[str]
    description: Mapped[str]
    instructions: Mapped[str]
    max_delegations: Mapped[int]
    version: Mapped[int]
    deleted_at: Mapped[datetime | None]


class TeamMember(Base, TenantOwned):
    """An agent that the leader of a team may ask. `role` tells the leader what for."""

    __tablename__ = "team_members"

    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    team_id: Mapped[UUID] = mapped_column(primary_key=True)
    agent_id: Mapped[UUID] = mapped_column(primary_key=True)
    project_id: Mapped[UUID]
    position: Mapped[int]
    role: Mapped[str]

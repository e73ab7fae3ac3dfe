"""Agents and their immutable versions."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db import Base, Resource, TenantOwned


class Agent(Base, Resource, TenantOwned):
    """An agent by its name in one environment. What it does is in its versions; `version` is the current one.

    A deleted agent keeps its row and versions, because executions point at them; its name is free again.
    """

    __tablename__ = "agents"

    project_id: Mapped[UUID]
    environment_id: Mapped[UUID]
    name: Mapped[str]
    version: Mapped[int]
    deleted_at: Mapped[datetime | None]


class AgentVersion(Base, TenantOwned):
    """What an agent is called, told and given. Never changed once stored, so an execution can pin it."""

    __tablename__ = "agent_versions"

    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    agent_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    description: Mapped[str]
    instructions: Mapped[str]
    agent_type: Mapped[str]
    llm_config: Mapped[dict[str, Any]]
    toolsets: Mapped[list[str]]
    policies: Mapped[list[str]]
    variables: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    limits: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    output_schema: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

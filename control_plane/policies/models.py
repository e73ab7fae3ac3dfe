"""Policies, their immutable versions, and where they are bound."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db import Base, Resource, TenantOwned


class Policy(Base, Resource, TenantOwned):
    """A Rego module by its name in the organization. `version` is the current one."""

    __tablename__ = "policies"

    name: Mapped[str]
    description: Mapped[str]
    version: Mapped[int]


class PolicyVersion(Base, TenantOwned):
    """The source of one version of a policy."""

    __tablename__ = "policy_versions"

    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    policy_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    module: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class PolicyBinding(Base, Resource, TenantOwned):
    """Where a policy applies to everything: one project, environment or agent, or the organization if none is named.

    `policy_id` is null for a policy that comes with the product; `policy` is its name in both cases.
    """

    __tablename__ = "policy_bindings"

    policy: Mapped[str]
    policy_id: Mapped[UUID | None]
    project_id: Mapped[UUID | None]
    environment_id: Mapped[UUID | None]
    agent_id: Mapped[UUID | None]

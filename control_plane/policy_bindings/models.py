"""Policies and their immutable versions."""

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

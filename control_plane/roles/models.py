"""Custom roles, and who has which role where."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db import Base, Identified, Resource, TenantOwned


class Role(Base, Resource, TenantOwned):
    """A set of permissions that an organization has put together itself."""

    __tablename__ = "roles"

    name: Mapped[str]
    description: Mapped[str]
    permissions: Mapped[list[str]]


class RoleGrant(Base, Identified, TenantOwned):
    """A built-in role (`role`) or a custom one (`role_id`) that one holder has, in one project or everywhere."""

    __tablename__ = "role_grants"

    role: Mapped[str | None]
    role_id: Mapped[UUID | None]
    project_id: Mapped[UUID | None]
    member_id: Mapped[UUID | None]
    service_account_id: Mapped[UUID | None]
    credential_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

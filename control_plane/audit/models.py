"""What people did, written down for good."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db import Base, Listed, TenantOwned


class AuditEntry(Base, Listed, TenantOwned):
    """One change, release of a secret, or sign-in or sign-out of a browser.

    The application can add entries, and neither change nor remove them.
    """

    __tablename__ = "audit_log"

    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    actor: Mapped[str]
    credential_id: Mapped[UUID | None]
    member_id: Mapped[UUID | None]
    action: Mapped[str]
    method: Mapped[str]
    route: Mapped[str]
    resource_type: Mapped[str]
    resource_id: Mapped[str | None]
    request_id: Mapped[str]
    client_address: Mapped[str | None]
    status: Mapped[int]

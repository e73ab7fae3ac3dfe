"""What executions leave behind."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import LargeBinary, func
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db import Base, TenantOwned
from control_plane.organizations.export import EXPORTED


class Artifact(Base, TenantOwned):
    """A file that an execution leaves behind, such as the whole of an output that was too long for a model."""

    __tablename__ = "artifacts"

    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    execution_id: Mapped[UUID]
    name: Mapped[str]
    media_type: Mapped[str]
    size: Mapped[int]
    sha256: Mapped[str]
    content: Mapped[bytes] = mapped_column(LargeBinary, info=EXPORTED)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

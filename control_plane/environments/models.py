"""Where agents run: one work pool each."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db import Base, Resource, TenantOwned


class Environment(Base, Resource, TenantOwned):
    """A place such as staging or production. Its work pool exists in the orchestrator since `provisioned_at`.

    `pool_version` counts what was asked of the work pool and its queues, `provisioned_version` how much of it is done.
    """

    __tablename__ = "environments"

    project_id: Mapped[UUID]
    name: Mapped[str]
    slug: Mapped[str]
    work_pool: Mapped[str]
    llm_override: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    max_workers: Mapped[int | None]
    provisioned_at: Mapped[datetime | None]
    pool_version: Mapped[int] = mapped_column(server_default=text("1"), default=1)
    provisioned_version: Mapped[int] = mapped_column(server_default=text("0"), default=0)

"""Machines that use the API."""

from datetime import datetime

from sqlalchemy.orm import Mapped

from control_plane.db import Base, Resource, TenantOwned


class ServiceAccount(Base, Resource, TenantOwned):
    """A machine that uses the API, such as a pipeline. While `disabled_at` is set, none of its keys works."""

    __tablename__ = "service_accounts"

    name: Mapped[str]
    description: Mapped[str]
    disabled_at: Mapped[datetime | None]

"""What a toolset may do in a place, and which secrets it gets there."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped

from control_plane.db import Base, Resource, TenantOwned


class ToolsetConfig(Base, Resource, TenantOwned):
    """The configuration of a toolset in an environment, a project, or, if none is named, the organization.

    `secrets` maps the names that the toolset uses to names of secrets of the organization.
    """

    __tablename__ = "toolset_configs"

    project_id: Mapped[UUID | None]
    environment_id: Mapped[UUID | None]
    toolset: Mapped[str]
    settings: Mapped[dict[str, Any]]
    secrets: Mapped[dict[str, Any]]
    enabled: Mapped[bool]

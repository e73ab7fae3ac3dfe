"""A body of work inside an organization."""

from sqlalchemy.orm import Mapped

from control_plane.db import Base, Resource, TenantOwned


class Project(Base, Resource, TenantOwned):
    """Groups environments and agents that belong together."""

    __tablename__ = "projects"

    name: Mapped[str]
    slug: Mapped[str]

"""The tenant."""

from sqlalchemy.orm import Mapped

from control_plane.db import Base, Listed, Resource


class Organization(Base, Resource):
    """A company or department whose data nobody else sees. `slug` is part of its work pools' names."""

    __tablename__ = "organizations"

    name: Mapped[str]
    slug: Mapped[str]


class AbandonedWorkPool(Base, Listed):
    """A work pool whose environment is deleted, until the reconciler has removed it. It names no tenant's row."""

    __tablename__ = "abandoned_work_pools"

    work_pool: Mapped[str]

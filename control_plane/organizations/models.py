"""The tenant."""

from sqlalchemy.orm import Mapped

from control_plane.db import Base, Resource


class Organization(Base, Resource):
    """A company or department whose data nobody else sees. `slug` is part of its work pools' names."""

    __tablename__ = "organizations"

    name: Mapped[str]
    slug: Mapped[str]

"""People."""

from sqlalchemy.orm import Mapped

from control_plane.db import Base, Resource, TenantOwned


class Member(Base, Resource, TenantOwned):
    """A person who signs in with an identity provider. Without `subject`: invited by `email`, and not yet here."""

    __tablename__ = "members"

    name: Mapped[str]
    issuer: Mapped[str | None]
    subject: Mapped[str | None]
    email: Mapped[str | None]

"""Secrets, and their values as they are stored."""

from uuid import UUID

from sqlalchemy import LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db import Base, Resource, TenantOwned


class Secret(Base, Resource, TenantOwned):
    """A secret by its name in the organization. `version` counts the values it has had."""

    __tablename__ = "secrets"

    name: Mapped[str]
    environment_id: Mapped[UUID | None]
    version: Mapped[int]


class SecretValue(Base, TenantOwned):
    """The present value of a secret, encrypted. In a table of its own, so that reading secrets never loads values."""

    __tablename__ = "secret_values"

    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    secret_id: Mapped[UUID] = mapped_column(primary_key=True)
    key_id: Mapped[str]
    wrapped_key: Mapped[bytes] = mapped_column(LargeBinary)
    ciphertext: Mapped[bytes] = mapped_column(LargeBinary)

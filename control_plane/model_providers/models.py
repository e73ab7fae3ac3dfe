"""Where an organization has its models, and what it calls them."""

from typing import Any

from sqlalchemy.orm import Mapped

from control_plane.db import Base, Resource, TenantOwned


class ModelProvider(Base, Resource, TenantOwned):
    """An account of the organization at a provider. `secret` names the secret that holds its key."""

    __tablename__ = "model_providers"

    name: Mapped[str]
    kind: Mapped[str]
    base_url: Mapped[str | None]
    secret: Mapped[str | None]
    parameters: Mapped[dict[str, Any]]
    prices: Mapped[dict[str, Any]]
    retries: Mapped[int]


class ModelAlias(Base, Resource, TenantOwned):
    """A name for a model, and for those that step in for it: `models` in their order, after errors in `fallback_on`."""

    __tablename__ = "model_aliases"

    name: Mapped[str]
    models: Mapped[list[str]]
    fallback_on: Mapped[list[str]]

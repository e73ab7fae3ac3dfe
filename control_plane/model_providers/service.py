"""Providers and aliases: written by people, read when a model is called."""

from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.model_providers.kinds import fault
from control_plane.model_providers.models import ModelAlias, ModelProvider
from control_plane.model_providers.schemas import (
    ALIAS,
    ModelAliasCreate,
    ModelAliasUpdate,
    ModelProviderCreate,
    ModelProviderUpdate,
)
from control_plane.pagination import Page
from control_plane.problems import AlreadyExists, Invalid, NotFound
from control_plane.secrets import service as secrets

Named = TypeVar("Named", ModelProvider, ModelAlias)

_WORDS: dict[type[Any], str] = {ModelProvider: "model provider", ModelAlias: "model alias"}


async def create_provider(session: AsyncSession, organization_id: UUID, body: ModelProviderCreate) -> ModelProvider:
    """A new provider. Raises `Invalid` and `AlreadyExists`."""
    provider = ModelProvider(organization_id=organization_id, **body.model_dump(mode="json"))
    await _check_provider(session, provider)
    return await _stored(session, provider)


async def change_provider(session: AsyncSession, provider: ModelProvider, body: ModelProviderUpdate) -> None:
    """Merge changes into a locked provider. Raises `Invalid`."""
    for name, value in body.model_dump(mode="json", exclude_unset=True).items():
        setattr(provider, name, value)
    await _check_provider(session, provider)
    await session.flush()


async def create_alias(session: AsyncSession, organization_id: UUID, body: ModelAliasCreate) -> ModelAlias:
    """A new alias. Raises `Invalid` and `AlreadyExists`."""
    _check_models(body.models)
    return await _stored(session, ModelAlias(organization_id=organization_id, **body.model_dump()))


async def change_alias(session: AsyncSession, alias: ModelAlias, body: ModelAliasUpdate) -> None:
    """Merge changes into a locked alias. Raises `Invalid`."""
    changes = body.changes()
    _check_models(changes.get("models", ()))
    for name, value in changes.items():
        setattr(alias, name, value)
    await session.flush()


async def get(session: AsyncSession, kind: type[Named], identity: UUID, *, lock: bool = False) -> Named:
    """One provider or alias. Raises `NotFound`."""
    statement = select(kind).where(kind.id == identity)
    found = await session.scalar(statement.with_for_update() if lock else statement)
    if found is None:
        raise NotFound.of(_WORDS[kind], identity)
    return found


async def listed(session: AsyncSession, page: Page, kind: type[Named], *, name: str | None) -> list[Named]:
    """A page of providers or aliases."""
    statement = select(kind)
    return await page.fetch(session, statement if name is None else statement.where(kind.name == name), kind)


async def delete(session: AsyncSession, found: ModelProvider | ModelAlias) -> None:
    """Remove a provider or an alias. Who names it from now on is told that it is unknown."""
    await session.delete(found)
    await session.flush()


async def _stored(session: AsyncSession, new: Named) -> Named:
    session.add(new)
    try:
        await session.flush()
    except IntegrityError as error:
        raise AlreadyExists(f"There is a {_WORDS[type(new)]} {new.name} already: change that.") from error
    return new


async def _check_provider(session: AsyncSession, provider: ModelProvider) -> None:
    wrong = fault(provider.kind, base_url=provider.base_url, secret=provider.secret, parameters=provider.parameters)
    if wrong:
        raise Invalid(wrong[1], location=f"body.{wrong[0]}")
    if provider.secret is None:
        return
    try:
        secret = await secrets.get(session, provider.secret)
    except NotFound as error:
        raise Invalid(f"There is no secret {provider.secret}. Create it first.", location="body.secret") from error
    if secret.environment_id is not None:
        raise Invalid(f"The secret {provider.secret} is for one environment alone.", location="body.secret")


def _check_models(models: Any) -> None:
    if any(model.startswith(f"{ALIAS}/") for model in models):
        raise Invalid("An alias stands for models, not for other aliases.", location="body.models")

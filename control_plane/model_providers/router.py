"""`/model-providers`, `/model-aliases` and `/models`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from control_plane.auth.dependencies import Db, MayReadAgents, MayReadModelProviders, MayWriteModelProviders
from control_plane.contract import Text
from control_plane.etags import CONDITIONAL, CREATED, TAGGED, Conditional, IfMatch, PreconditionFailed, tagged
from control_plane.model_providers import catalog
from control_plane.model_providers import service as model_providers
from control_plane.model_providers.models import ModelAlias, ModelProvider
from control_plane.model_providers.schemas import (
    ModelAliasCreate,
    ModelAliasRead,
    ModelAliasUpdate,
    ModelProviderCreate,
    ModelProviderRead,
    ModelProviderUpdate,
    ModelRead,
)
from control_plane.pagination import Paged
from control_plane.problems import AlreadyExists, Invalid, NotFound, problems
from control_plane.transactions import TenantRoute

providers_router = APIRouter(prefix="/model-providers", tags=["models"], route_class=TenantRoute)
aliases_router = APIRouter(prefix="/model-aliases", tags=["models"], route_class=TenantRoute)
models_router = APIRouter(prefix="/models", tags=["models"], route_class=TenantRoute)

_Named = Annotated[Text | None, Query(description="Only the one of exactly this name.")]


@providers_router.post("", status_code=201, responses=problems(AlreadyExists, Invalid) | CREATED)
async def create_model_provider(
    body: ModelProviderCreate, principal: MayWriteModelProviders, session: Db, response: Response
) -> ModelProviderRead:
    """Use an account of one's own at a provider. Who may do this decides where the key in the secret is sent."""
    provider = await model_providers.create_provider(session, principal.tenant, body)
    response.headers["Location"] = f"/api/v1/model-providers/{provider.id}"
    return tagged(response, ModelProviderRead.of(provider))


@providers_router.get("")
async def list_model_providers(
    _: MayReadModelProviders, session: Db, page: Paged, name: _Named = None
) -> list[ModelProviderRead]:
    """Providers of the organization, newest first."""
    found = await model_providers.listed(session, page, ModelProvider, name=name)
    return [ModelProviderRead.of(provider) for provider in found]


@providers_router.get("/{provider_id}", responses=problems(NotFound) | CONDITIONAL)
async def get_model_provider(
    provider_id: UUID, _: MayReadModelProviders, session: Db, conditional: Conditional
) -> ModelProviderRead:
    """One provider."""
    return conditional.answer(ModelProviderRead.of(await model_providers.get(session, ModelProvider, provider_id)))


@providers_router.patch("/{provider_id}", responses=problems(NotFound, Invalid, PreconditionFailed) | TAGGED)
async def change_model_provider(
    provider_id: UUID,
    body: ModelProviderUpdate,
    _: MayWriteModelProviders,
    session: Db,
    if_match: IfMatch,
    response: Response,
) -> ModelProviderRead:
    """Change a provider. That holds for executions under way too, within five seconds."""
    provider = await model_providers.get(session, ModelProvider, provider_id, lock=True)
    if_match.check(provider)
    await model_providers.change_provider(session, provider, body)
    return tagged(response, ModelProviderRead.of(provider))


@providers_router.delete("/{provider_id}", status_code=204, responses=problems(NotFound, PreconditionFailed))
async def delete_model_provider(provider_id: UUID, _: MayWriteModelProviders, session: Db, if_match: IfMatch) -> None:
    """Remove a provider, not the secret. Executions under way can't call its models any more, within five seconds."""
    provider = await model_providers.get(session, ModelProvider, provider_id, lock=True)
    if_match.check(provider)
    await model_providers.delete(session, provider)


@aliases_router.post("", status_code=201, responses=problems(AlreadyExists, Invalid) | CREATED)
async def create_model_alias(
    body: ModelAliasCreate, principal: MayWriteModelProviders, session: Db, response: Response
) -> ModelAliasRead:
    """Give a model a name of one's own, and others that step in for it. Agents name it as `alias/<name>`."""
    alias = await model_providers.create_alias(session, principal.tenant, body)
    response.headers["Location"] = f"/api/v1/model-aliases/{alias.id}"
    return tagged(response, ModelAliasRead.of(alias))


@aliases_router.get("")
async def list_model_aliases(
    _: MayReadModelProviders, session: Db, page: Paged, name: _Named = None
) -> list[ModelAliasRead]:
    """Aliases of the organization, newest first."""
    return [ModelAliasRead.of(alias) for alias in await model_providers.listed(session, page, ModelAlias, name=name)]


@aliases_router.get("/{alias_id}", responses=problems(NotFound) | CONDITIONAL)
async def get_model_alias(
    alias_id: UUID, _: MayReadModelProviders, session: Db, conditional: Conditional
) -> ModelAliasRead:
    """One alias."""
    return conditional.answer(ModelAliasRead.of(await model_providers.get(session, ModelAlias, alias_id)))


@aliases_router.patch("/{alias_id}", responses=problems(NotFound, Invalid, PreconditionFailed) | TAGGED)
async def change_model_alias(
    alias_id: UUID,
    body: ModelAliasUpdate,
    _: MayWriteModelProviders,
    session: Db,
    if_match: IfMatch,
    response: Response,
) -> ModelAliasRead:
    """Change what an alias stands for. That holds for executions under way too, within five seconds."""
    alias = await model_providers.get(session, ModelAlias, alias_id, lock=True)
    if_match.check(alias)
    await model_providers.change_alias(session, alias, body)
    return tagged(response, ModelAliasRead.of(alias))


@aliases_router.delete("/{alias_id}", status_code=204, responses=problems(NotFound, PreconditionFailed))
async def delete_model_alias(alias_id: UUID, _: MayWriteModelProviders, session: Db, if_match: IfMatch) -> None:
    """Remove an alias. Executions whose agent names it can call no model any more, within five seconds."""
    alias = await model_providers.get(session, ModelAlias, alias_id, lock=True)
    if_match.check(alias)
    await model_providers.delete(session, alias)


@models_router.get("")
async def list_models_of_organization(_: MayReadAgents, session: Db, request: Request) -> list[ModelRead]:
    """The models that agents may name: built in, aliases, and those that LiteLLM knows of providers with a key.

    A provider may have more models than these. Name them all the same.
    """
    return await catalog.listed(session, shared=request.app.state.settings.shared_model_keys)

"""Where the models of each organization are: its own providers and aliases, then what the server has keys for.

What is read is remembered for two seconds, so a change holds within five everywhere. Keys are decrypted here, at use.
"""

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.audit.service import Origin
from control_plane.auth.principals import ExecutionPrincipal
from control_plane.db import Database
from control_plane.llm.errors import ModelError
from control_plane.llm.gateway import Route
from control_plane.llm.prices import ModelPrice
from control_plane.llm.server_directory import ServerDirectory
from control_plane.llm.targets import SCRIPTED, Target
from control_plane.model_providers.models import ModelAlias, ModelProvider
from control_plane.model_providers.schemas import ALIAS
from control_plane.problems import NotFound
from control_plane.secrets import service as secrets
from control_plane.secrets.encryption import Keyring
from control_plane.secrets.models import Secret
from control_plane.secrets.service import SecretUnreadable

_ORIGIN = Origin(
    actor="llm_gateway", credential_id=None, method="POST", route="/api/v1/llm", request_id="", client_address=None
)
"""The gateway itself: one reading serves the calls of many executions."""

_GOOGLE = "https://oauth2.googleapis.com/token"


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of one organization, until a moment of the monotonic clock."""

    until: float
    providers: Mapping[str, Target]
    prices: Mapping[str, Mapping[str, ModelPrice]]
    aliases: Mapping[str, tuple[Sequence[str], frozenset[str]]]


class OrganizationDirectory:
    """Finds models. `shared` says whether organizations may use what the server has keys for."""

    REMEMBER: ClassVar = timedelta(seconds=2)
    MOST: ClassVar = 10_000

    def __init__(self, database: Database, keyring: Keyring | None, server: ServerDirectory, *, shared: bool) -> None:
        self._database = database
        self._keyring = keyring
        self._server = server
        self._shared = shared
        self._organizations: OrderedDict[UUID, _Known] = OrderedDict()
        self._loading: dict[UUID, asyncio.Task[_Known]] = {}
        self._values: OrderedDict[tuple[UUID, str, int], SecretStr] = OrderedDict()

    async def route(self, caller: ExecutionPrincipal) -> Route:
        """Where the model is that the caller may call. Raises `ModelError` if nobody knows."""
        provider, _, name = caller.model.partition("/")
        if provider == SCRIPTED:
            return Route([self._server.target(caller.model)])
        known = await self._known(caller.organization_id)
        if provider != ALIAS:
            return Route([self._target(known, caller.model)])
        if name not in known.aliases:
            raise ModelError(
                f"The organization has no model alias {name}. Create it at /api/v1/model-aliases, or let the agent name"
                " another model.",
                status=404,
                code="model_not_found",
            )
        models, on = known.aliases[name]
        return Route([self._target(known, model) for model in models], on=on)

    def _target(self, known: _Known, name: str) -> Target:
        provider, _, model = name.partition("/")
        if own := known.providers.get(provider):
            return own.of(name=name, model=model, price=known.prices[provider].get(model))
        if not self._shared and provider != SCRIPTED:
            raise ModelError(
                f"The organization has no model provider {provider}. Create it at /api/v1/model-providers: this server"
                " shares no keys.",
                status=400,
                code="provider_key_missing",
            )
        return self._server.target(name)

    async def _known(self, organization_id: UUID) -> _Known:
        found = self._organizations.get(organization_id)
        if found and found.until > time.monotonic():
            return found
        loading = self._loading.get(organization_id)
        if loading is None:
            # One for all who ask meanwhile, whoever of them leaves.
            loading = asyncio.create_task(self._load(organization_id))
            self._loading[organization_id] = loading
            loading.add_done_callback(lambda _: self._loading.pop(organization_id, None))
        return await asyncio.shield(loading)

    async def _load(self, organization_id: UUID) -> _Known:
        until = time.monotonic() + self.REMEMBER.total_seconds()
        async with self._database.tenant(organization_id) as session:
            providers = list(await session.scalars(select(ModelProvider)))
            aliases = list(await session.scalars(select(ModelAlias)))
            versions = await _versions(session, [provider.secret for provider in providers if provider.secret])
            targets = {
                provider.name: await self._own(session, organization_id, provider, versions) for provider in providers
            }
        known = _Known(
            until=until,
            providers=targets,
            prices={
                provider.name: {name: ModelPrice.model_validate(price) for name, price in provider.prices.items()}
                for provider in providers
            },
            aliases={alias.name: (alias.models, frozenset(alias.fallback_on)) for alias in aliases},
        )
        self._organizations[organization_id] = known
        while len(self._organizations) > self.MOST:
            self._organizations.popitem(last=False)
        return known

    async def _own(
        self, session: AsyncSession, organization_id: UUID, provider: ModelProvider, versions: Mapping[str, int]
    ) -> Target:
        remedy, key = "", None
        if provider.secret:
            remedy = f"Store it as the secret {provider.secret} of the organization (/api/v1/secrets)."
            try:
                key = await self._value(session, organization_id, provider.secret, versions)
            except SecretUnreadable as error:
                remedy = error.detail
            if key is not None and (wrong := _unusable(provider.kind, key)):
                remedy, key = wrong, None
        kind, base_url = provider.kind, provider.base_url
        if kind == "ollama" and base_url:
            base = base_url.rstrip("/")
            kind, base_url = "openai_compatible", base if base.endswith("/v1") else f"{base}/v1"
        return Target(
            name=f"{provider.name}/",
            kind=kind,
            model="",
            remedy=remedy or f"Name a secret that holds it in the model provider {provider.name}.",
            base_url=base_url,
            key=key,
            parameters=provider.parameters,
            retries=provider.retries,
            own=True,
        )

    async def _value(
        self, session: AsyncSession, organization_id: UUID, name: str, versions: Mapping[str, int]
    ) -> SecretStr | None:
        if name not in versions or self._keyring is None:
            return None
        place = (organization_id, name, versions[name])
        if place not in self._values:
            try:
                # Audited: once for each version in each process, and not for each call.
                value = await secrets.release(session, name, environment_id=None, keyring=self._keyring, origin=_ORIGIN)
            except NotFound:
                return None
            self._values[place] = value
            while len(self._values) > self.MOST:
                self._values.popitem(last=False)
        return self._values[place]


async def _versions(session: AsyncSession, names: Sequence[str]) -> dict[str, int]:
    """The versions of those of the secrets that are there for the whole organization."""
    if not names:
        return {}
    found = await session.execute(
        select(Secret.name, Secret.version).where(Secret.name.in_(names), Secret.environment_id.is_(None))
    )
    return {row.name: row.version for row in found}


def _unusable(kind: str, key: SecretStr) -> str | None:
    """Why a value is no key. LiteLLM would take some for the name of a variable, of a file or of a program."""
    value = key.get_secret_value()
    if not value.strip() or value.startswith("os.environ/"):
        return "The secret holds no key."
    if kind == "vertex_ai":
        try:
            account = json.loads(value)
        except ValueError:
            account = None
        if not isinstance(account, dict) or (account.get("type"), account.get("token_uri")) != (
            "service_account",
            _GOOGLE,
        ):
            return f"The secret must hold the JSON key of a service account with the token_uri {_GOOGLE}."
    elif not (value.isascii() and value.isprintable()):
        return "The secret holds no key: keys are printable ASCII."
    return None

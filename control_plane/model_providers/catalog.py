"""Which models an organization can name."""

import asyncio
import os

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.llm.loading import loaded
from control_plane.llm.targets import of_the_server
from control_plane.model_providers.models import ModelAlias, ModelProvider
from control_plane.model_providers.schemas import ALIAS, ModelRead

_BUILT_IN = ("scripted/assistant", "scripted/script")
_OF_THE_SERVER = ("openai", "anthropic", "gemini", "mistral", "groq", "deepseek", "xai", "openrouter")
_TALKING = frozenset({"chat", "responses"})


async def listed(session: AsyncSession, *, shared: bool) -> list[ModelRead]:
    """The built-in models, the aliases, then the models of the organization's providers and of the server's.

    `shared` says whether organizations may use the server's keys.
    """
    aliases = list(await session.scalars(select(ModelAlias).order_by(ModelAlias.name)))
    providers = list(await session.scalars(select(ModelProvider).order_by(ModelProvider.name)))
    own = {provider.name: (provider.kind, sorted(provider.prices)) for provider in providers}
    known = await asyncio.to_thread(_known)
    found = [ModelRead(id=name, source="built_in", models=[]) for name in _BUILT_IN]
    found += [ModelRead(id=f"{ALIAS}/{alias.name}", source="alias", models=alias.models) for alias in aliases]
    for provider, (kind, priced) in own.items():
        names = sorted({*priced, *known.get(kind, ())})
        found += [ModelRead(id=f"{provider}/{name}", source="provider", models=[]) for name in names]
    if shared:
        kinds = [kind for kind in _OF_THE_SERVER if kind not in own and _has_key(kind)]
        found += [
            ModelRead(id=f"{kind}/{name}", source="server", models=[]) for kind in kinds for name in known.get(kind, ())
        ]
    return found


def _has_key(kind: str) -> bool:
    return of_the_server(f"{kind}/").key is not None or f"{kind.upper()}_API_KEY" in os.environ


def _known() -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for name, about in loaded().model_cost.items():
        kind = about.get("litellm_provider")
        if about.get("mode") in _TALKING and isinstance(kind, str):
            found.setdefault(kind.removesuffix("_converse"), set()).add(name.removeprefix(f"{kind}/"))
    return {kind: sorted(names) for kind, names in found.items()}

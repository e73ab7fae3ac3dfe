"""Where a model is reached: the provider, its address and its key."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import SecretStr

from control_plane.llm.prices import ModelPrice

SCRIPTED = "scripted"
PROXY = "litellm_proxy"
"""LiteLLM's own name for a LiteLLM proxy elsewhere."""

_SPOKEN = {
    "openai": frozenset({"chat_completions", "responses"}),
    "azure": frozenset({"chat_completions", "responses"}),
    "openai_compatible": frozenset({"chat_completions"}),
    "anthropic": frozenset({"messages"}),
    PROXY: frozenset({"chat_completions", "responses", "messages"}),
}
"""Who speaks a dialect gets requests as they are. For all else LiteLLM translates, through the first of these."""

_LITELLM_NAMES = {"openai_compatible": "openai", "azure": "openai"}

_ADDRESSES = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com/v1"}
_SERVER_KEYS = {
    "openai": ("OPENAI_API_KEY",),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
}
_SERVER_ADDRESSES = {
    "openai": ("OPENAI_BASE_URL", "OPENAI_API_BASE"),
    "anthropic": ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE"),
}


@dataclass(frozen=True, slots=True)
class Target:
    """One model at one provider.

    `name` is what people call it: `provider/model`; `model` is the provider's own name. `trusted` addresses were set by
    whoever runs the server; all others are checked when a connection is made. `remedy` says who mends a missing key.
    `price` is what the organization says that it pays. `own` are providers of the organization.
    """

    name: str
    kind: str
    model: str
    remedy: str
    base_url: str | None = None
    key: SecretStr | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    retries: int = 0
    trusted: bool = False
    own: bool = False
    price: ModelPrice | None = None

    def of(self, *, name: str, model: str, price: ModelPrice | None) -> "Target":
        """One of the models of the same provider."""
        return replace(self, name=name, model=model, price=price)

    def speaks(self, dialect: str) -> bool:
        """Whether the provider itself understands the dialect, so that nothing has to be translated."""
        return dialect in _SPOKEN.get(self.kind, ())

    @property
    def keyless(self) -> bool:
        """Whether the provider may be asked without a key, as those on one's own machines often may."""
        return self.kind in {"openai_compatible", PROXY}

    @property
    def provider(self) -> str:
        """What people call the provider."""
        return self.name.split("/", 1)[0]

    @property
    def priced_as(self) -> str:
        """The name under which LiteLLM's list has its price."""
        return self.name if self.kind == PROXY else f"{_LITELLM_NAMES.get(self.kind, self.kind)}/{self.model}"

    @property
    def litellm_name(self) -> str:
        """The model as LiteLLM calls it."""
        return f"{_LITELLM_NAMES.get(self.kind, self.kind)}/{self.model}"

    @property
    def address(self) -> str:
        """The base URL, which paths of dialects stand behind. For those who speak one."""
        given = self.base_url or _ADDRESSES[self.kind]
        return given.rstrip("/")


def of_the_server(name: str) -> Target:
    """A model whose provider's key stands in the environment of this server."""
    kind, _, model = name.partition("/")
    variables = _SERVER_KEYS.get(kind, (f"{kind.upper()}_API_KEY",))
    return Target(
        name=name,
        kind=kind,
        model=model,
        base_url=_anthropic_v1(kind, _from_environment(_SERVER_ADDRESSES.get(kind, ()))),
        key=_secret(_from_environment(variables)),
        remedy=f"Set {variables[0]} for the API server, give the organization a provider of its own"
        ' (/api/v1/model-providers), or the environment an llm_override such as {"provider": "scripted", "model":'
        ' "assistant"}.',
        trusted=True,
    )


def of_the_proxy(name: str, *, url: str, key: SecretStr | None) -> Target:
    """A model that an external LiteLLM proxy answers for. Its names are the proxy's own."""
    base = url.rstrip("/")
    return Target(
        name=name,
        kind=PROXY,
        model=name.removeprefix(f"{PROXY}/"),
        base_url=base if base.endswith("/v1") else f"{base}/v1",
        key=key,
        remedy="Set LITELLM_API_KEY for the API server to a key that the LiteLLM proxy accepts.",
        trusted=True,
    )


def _anthropic_v1(kind: str, address: str | None) -> str | None:
    # Unlike OpenAI's, the variable names the server without the version.
    if kind != "anthropic" or address is None or address.rstrip("/").endswith("/v1"):
        return address
    return address.rstrip("/") + "/v1"


def _from_environment(names: tuple[str, ...]) -> str | None:
    return next((value for name in names if (value := os.environ.get(name))), None)


def _secret(value: str | None) -> SecretStr | None:
    return SecretStr(value) if value else None

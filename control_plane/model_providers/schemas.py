"""REST bodies of providers, aliases and models."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from control_plane.contract import ABSENT, Body, Fixed, Patch, Read, Text, example
from control_plane.llm.prices import ModelPrice
from control_plane.model_providers.kinds import KINDS
from control_plane.secrets.schemas import SecretName

ALIAS = "alias"
"""What stands before the name of an alias where a model is named: `alias/fast`."""

RESERVED = frozenset({ALIAS, "scripted", "litellm_proxy"})

FallbackCode = Literal[
    "rate_limited", "overloaded", "unavailable", "timeout", "context_too_long", "content_filtered", "model_not_found",
    "provider_key_missing", "quota_exhausted",
]  # fmt: skip
DEFAULT_FALLBACK: list[FallbackCode] = ["rate_limited", "overloaded", "unavailable", "timeout"]


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"must be one of {', '.join(KINDS)}")
    return kind


def _free(name: str) -> str:
    if name in RESERVED:
        raise ValueError(f"must be none of {', '.join(sorted(RESERVED))}, which mean something else")
    return name


def _http_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises if it is none
    except ValueError:
        raise ValueError("must be a URL such as https://models.example.com/v1") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be a URL such as https://models.example.com/v1, without query and fragment")
    if parts.username or parts.password:
        raise ValueError("must hold no credential: name a secret instead")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("must be printable ASCII")
    return url


_SLUG = StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
ProviderName = Annotated[
    str,
    _SLUG,
    AfterValidator(_free),
    Field(description="What agents name before the slash: `name/model`. Lower-case letters, digits, `_` and `-`."),
]
AliasName = Annotated[str, _SLUG, Field(description="Agents name it as provider `alias` and this model.")]
ProviderKind = Annotated[
    str,
    AfterValidator(_known),
    Field(description="LiteLLM's name of the provider, or `openai_compatible`.", json_schema_extra={"enum": [*KINDS]}),
]
BaseUrl = Annotated[
    Text,
    StringConstraints(max_length=500),
    AfterValidator(_http_url),
    Field(description="Where it is, with the version: `https://models.example.com/v1`. It must be a public address."),
]
Secret = Annotated[SecretName, Field(description="The secret of the organization that holds the key, by name.")]
Parameters = Annotated[
    dict[str, Annotated[Text, StringConstraints(max_length=200)]],
    Field(max_length=10, description="What else the kind needs, such as `aws_region_name`.", examples=[{}]),
]
Prices = Annotated[
    dict[Annotated[Text, StringConstraints(min_length=1, max_length=200)], ModelPrice],
    Field(max_length=200, description="What you pay, by the provider's name of the model. Else LiteLLM's list counts."),
]
Retries = Annotated[
    int, Field(ge=0, le=5, description="How often a call that failed by no fault of its own is made again.")
]
ModelName = Annotated[
    Text,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}/\S{1,200}$"),
    Field(description="`provider/model`.", examples=["openai/gpt-4o"]),
]
Models = Annotated[
    list[ModelName],
    Field(min_length=1, max_length=8, description="The first is asked, each other one steps in for those before it."),
]
FallbackOn = Annotated[
    list[FallbackCode],
    Field(max_length=9, description="After which errors the next model is asked; never once an answer has begun."),
]


class ModelProviderCreate(Body):
    """An account of the organization at a provider of models."""

    model_config = example(name="openai", kind="openai", secret="openai_api_key")  # noqa: S106 - its name

    name: ProviderName
    kind: ProviderKind
    base_url: BaseUrl | None = None
    secret: Secret | None = None
    parameters: Parameters = Field(default={})
    prices: Prices = Field(default={})
    retries: Retries = 0


class ModelProviderUpdate(Patch):
    """Changes to a provider. `parameters` and `prices` are replaced as a whole."""

    model_config = example(retries=2)

    name: Fixed = None
    kind: Fixed = None
    base_url: BaseUrl | None = ABSENT
    secret: Secret | None = ABSENT
    parameters: Parameters = ABSENT
    prices: Prices = ABSENT
    retries: Retries = ABSENT


class ModelProviderRead(Read):
    """A provider. Its key is in the secret, which nobody reads."""

    name: str
    kind: str
    base_url: str | None
    secret: str | None
    parameters: dict[str, str]
    prices: dict[str, ModelPrice]
    retries: int


class ModelAliasCreate(Body):
    """A name for a model, so that agents needn't change when the model does."""

    model_config = example(name="fast", models=["openai/gpt-4o-mini", "anthropic/claude-3-5-haiku-latest"])

    name: AliasName
    models: Models
    fallback_on: FallbackOn = Field(default=DEFAULT_FALLBACK)


class ModelAliasUpdate(Patch):
    """Changes to an alias. They hold for executions under way too, within five seconds."""

    model_config = example(models=["openai/gpt-4o"])

    name: Fixed = None
    models: Models = ABSENT
    fallback_on: FallbackOn = ABSENT


class ModelAliasRead(Read):
    """An alias."""

    name: str
    models: list[str]
    fallback_on: list[FallbackCode]


class ModelRead(BaseModel):
    """A model that agents may name: `llm_config.provider` is what stands before the slash."""

    id: str = Field(examples=["openai/gpt-4o"])
    source: Literal["built_in", "alias", "provider", "server"] = Field(
        description="Where it comes from: a provider of the organization, or the keys of this server."
    )
    models: list[str] = Field(description="What an alias stands for; empty for models.")

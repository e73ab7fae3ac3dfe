"""Settings of the API server, read once from the environment (`CONTROL_PLANE_*`)."""

import base64
import binascii
import re
from datetime import timedelta
from functools import cache
from typing import Annotated, Literal
from urllib.parse import urlsplit

from packaging.version import InvalidVersion, Version
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasGenerator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    SecretStr,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from control_plane.client import is_on_this_machine
from control_plane.wire.artifacts import MOST_BYTES
from control_plane.wire.executions import LEAST_BODY_BYTES

SigningAlgorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519"
]  # fmt: skip
"""What a provider may sign with: asymmetric only, since a shared secret would let us sign as well."""


def _safe_url(url: str) -> str:
    parts = urlsplit(url)
    if not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("must be the URL of a provider, without user, query or fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_on_this_machine(url)):
        raise ValueError("must be https, except on this very machine")
    return url


def _sendable(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not (text and text.isascii() and text.isprintable()):
        raise ValueError("must be printable ASCII")
    return secret


def _with_openid(scopes: str) -> str:
    if "openid" not in scopes.split(" "):
        raise ValueError("must name openid, with one blank between scopes")
    return scopes


class OidcIssuer(BaseModel):
    """An OpenID Connect provider whose tokens sign people in."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    issuer: Annotated[str, AfterValidator(_safe_url)]
    """Exactly as the provider's discovery document names it."""

    audience: str = Field(min_length=1)
    """The `aud` that tokens must have: the client id or API name under which the provider knows this control plane."""

    algorithms: tuple[SigningAlgorithm, ...] = Field(default=("RS256", "ES256"), min_length=1)
    """Tokens that are signed otherwise are refused."""

    email_claim: str = Field(default="email", min_length=1)
    """The claim with the e-mail address, which counts only where `email_verified` is true."""

    client_id: str | None = Field(default=None, min_length=1)
    """As whom this control plane asks for the sign-in of a browser. Default: `audience`."""

    client_secret: Annotated[SecretStr, AfterValidator(_sendable)] | None = None
    """Goes with `client_id`, if the provider has registered a confidential client."""

    scopes: Annotated[str, AfterValidator(_with_openid)] = "openid email profile"
    """What it asks for, separated by blanks."""


def _different(issuers: tuple[OidcIssuer, ...]) -> tuple[OidcIssuer, ...]:
    if len({one.issuer for one in issuers}) < len(issuers):
        raise ValueError("must name each issuer once")
    return issuers


def key_bytes(keys: SecretStr) -> list[bytes]:
    """The keys of 32 bytes in a comma-separated list of base64, either alphabet, padded or not.

    Raises `ValueError`, which never shows a key.
    """
    found: list[bytes] = []
    for number, text in enumerate(keys.get_secret_value().split(","), start=1):
        standard = text.strip().rstrip("=").translate(str.maketrans("-_", "+/"))
        try:
            key = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != 32:
            raise ValueError(
                f"key {number} isn't base64 of 32 random bytes; make one with `openssl rand -base64 32`"
            ) from None
        found.append(key)
    return found


def _keys(keys: SecretStr) -> SecretStr:
    key_bytes(keys)
    return keys


_ORIGIN = re.compile(r"\*|https?://[a-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?")


def _origins(value: object) -> object:
    if not isinstance(value, str):
        return value
    origins = tuple(part.strip() for part in value.split(",") if part.strip())
    if not all(_ORIGIN.fullmatch(origin) for origin in origins):
        raise ValueError("must be origins such as https://console.example.com, separated by commas, or *")
    return origins


def _version(value: str) -> str:
    try:
        return str(Version(value))
    except InvalidVersion:
        raise ValueError("must be a version such as 1.2.0") from None


class Settings(BaseSettings):
    """Everything the API server can be told. Secrets have no default."""

    model_config = SettingsConfigDict(
        # Aliases rather than a prefix: an error then names the variable that people set.
        alias_generator=AliasGenerator(validation_alias=lambda name: f"CONTROL_PLANE_{name.upper()}"),
        populate_by_name=True,
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,  # a secret that is too short is still a secret
    )

    database_url: SecretStr = Field(validation_alias=AliasChoices("CONTROL_PLANE_DATABASE_URL", "DATABASE_URL"))
    """PostgreSQL, as `postgresql://login:password@host:port/database`. The login must be a member of the role
    `control_plane_app` and should be neither the owner of the tables nor a superuser."""

    migration_database_url: SecretStr | None = None
    """PostgreSQL with the rights to create tables and roles, for `control-plane migrate`. Default: `database_url`."""

    database_pool_size: int = Field(default=16, ge=1, le=200)
    """Connections each API process may open."""

    secret_key: SecretStr = Field(min_length=32)
    """Keys the hashes of API keys and tokens. At least 32 random characters; changing it invalidates every key."""

    encryption_keys: Annotated[SecretStr, AfterValidator(_keys)] | None = None
    """Encrypt the values of secrets: base64 of 32 random bytes each, separated by commas. The first encrypts, all
    decrypt; `control-plane rotate-encryption-key` brings everything under the first. Unset: no secret can be stored."""

    operator_key: SecretStr | None = Field(default=None, min_length=32)
    """The credential of the person who runs this installation: it creates organizations and their first API keys and
    can do nothing else. Unset: no such credential exists."""

    public_url: HttpUrl = HttpUrl("http://127.0.0.1:7777")
    """How workers and people reach this server."""

    oidc_issuers: Annotated[tuple[OidcIssuer, ...], AfterValidator(_different)] = ()
    """OpenID Connect providers whose tokens sign people in, as a JSON list of objects with `issuer`, `audience` and, if
    need be, `algorithms`, `email_claim`, `client_id`, `client_secret` and `scopes`."""

    browser_session_lifetime: timedelta = Field(
        default=timedelta(hours=8), ge=timedelta(minutes=15), le=timedelta(days=30)
    )
    """How long a browser stays signed in. Longer than a sign-in itself takes, which can so be used only once."""

    local_issuer_keys: SecretStr | None = None
    """Ed25519 or P-256 keys in PEM, one after the other, with which this control plane issues sign-in tokens itself:
    the first signs, all are published. Unset: it issues none."""

    orchestrator: str = "prefect"
    """Name of the orchestrator plugin (entry point group `control_plane.orchestrators`)."""

    prefect_api_url: HttpUrl = HttpUrl("http://127.0.0.1:4200/api")
    """Prefect's API, as this server reaches it."""

    prefect_auth_string: SecretStr | None = None
    """Prefect's `PREFECT_SERVER_API_AUTH_STRING` (`user:password`), if Prefect has one."""

    prefect_ui_url: HttpUrl | None = None
    """Where the `flow_run_url` of executions leads. Unset: to the run history, `/run-history` below `public_url`."""

    lease: timedelta = Field(default=timedelta(seconds=20), ge=timedelta(seconds=1))
    """How long a worker may be silent before its execution counts as abandoned."""

    worker_session_lifetime: timedelta = Field(
        default=timedelta(hours=1), ge=timedelta(seconds=10), le=timedelta(hours=1)
    )
    """How long the session of a worker holds unless it is renewed, which workers do when a fifth of it is left."""

    worker_heartbeat: timedelta = Field(default=timedelta(seconds=10), ge=timedelta(seconds=1), le=timedelta(minutes=5))
    """How often workers give a sign of life. After three that didn't come a worker counts as offline."""

    minimum_worker_version: Annotated[str, AfterValidator(_version)] = "0.1.0"
    """Older workers are refused when they join."""

    reconcile_every: timedelta = Field(default=timedelta(seconds=5), ge=timedelta(milliseconds=50))
    """How often executions that could not be dispatched, or whose worker is gone, are looked at again."""

    execution_token_lifetime: timedelta = Field(default=timedelta(hours=24), ge=timedelta(minutes=1))
    """Upper bound of one claim; the token dies earlier when the execution ends."""

    child_depth: int = Field(default=3, ge=0, le=10)
    """How many executions may stand above one another: an agent asks another, which asks a third. 0: none asks."""

    children_per_execution: int = Field(default=20, ge=0, le=1_000)
    """How many executions of other agents one execution may start."""

    executions_per_tree: int = Field(default=100, ge=0, le=10_000)
    """How many executions one that people have started may lead to, with all that those start."""

    max_body_bytes: int = Field(default=1_048_576, ge=LEAST_BODY_BYTES)
    """Larger request bodies are refused with 413. At least as many as a worker may send in one report."""

    max_artifact_bytes: int = Field(default=10_485_760, ge=0, le=MOST_BYTES)
    """The largest file that an execution may keep as an artifact; all of its artifacts may have 20 times as many."""

    rate_limit: float = Field(default=100.0, ge=0, le=1_000_000)
    """Requests a second that one credential may send to one API process in the long run. 0: no limit."""

    rate_limit_burst: int = Field(default=500, ge=1, le=1_000_000)
    """How many requests a credential that was quiet may send at once."""

    cors_origins: Annotated[tuple[str, ...] | None, NoDecode, BeforeValidator(_origins)] = None
    """Web origins, separated by commas, whose scripts may call this API: `https://console.example.com`. Unset: none."""

    litellm_api_url: HttpUrl | None = Field(
        default=None, validation_alias=AliasChoices("CONTROL_PLANE_LITELLM_API_URL", "LITELLM_API_URL")
    )
    """An external LiteLLM proxy, which then answers for all models that no organization has a provider for, in place of
    the keys in this server's environment."""

    litellm_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("CONTROL_PLANE_LITELLM_API_KEY", "LITELLM_API_KEY")
    )
    """What that proxy asks for."""

    shared_model_keys: bool = True
    """Whether organizations may call models with the keys in this server's environment, or through `litellm_api_url`.
    Set it to false where tenants should pay for themselves."""

    private_model_providers: bool = False
    """Whether the providers of organizations may be at addresses that are not public, such as those of this network."""

    stream_keepalive: timedelta = Field(default=timedelta(seconds=15), ge=timedelta(milliseconds=50))
    """How often an idle event stream sends a comment so that proxies keep it open."""


@cache
def settings() -> Settings:
    """This process's settings. Raises `pydantic.ValidationError` naming each variable that is missing or wrong."""
    return Settings()

"""Settings of the API server, read once from the environment (`CONTROL_PLANE_*`)."""

from datetime import timedelta
from functools import cache

from pydantic import AliasChoices, AliasGenerator, Field, HttpUrl, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from control_plane.wire.executions import LEAST_BODY_BYTES


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

    operator_key: SecretStr | None = Field(default=None, min_length=32)
    """The credential of the person who runs this installation: it creates organizations and their first API keys and
    can do nothing else. Unset: no such credential exists."""

    public_url: HttpUrl = HttpUrl("http://127.0.0.1:7777")
    """How workers and people reach this server."""

    orchestrator: str = "prefect"
    """Name of the orchestrator plugin (entry point group `control_plane.orchestrators`)."""

    prefect_api_url: HttpUrl = HttpUrl("http://127.0.0.1:4200/api")
    """Prefect's API, as this server reaches it."""

    prefect_auth_string: SecretStr | None = None
    """Prefect's `PREFECT_SERVER_API_AUTH_STRING` (`user:password`), if Prefect has one."""

    prefect_ui_url: HttpUrl | None = None
    """Where people open the Prefect UI. Default: `prefect_api_url` without `/api`."""

    lease: timedelta = Field(default=timedelta(seconds=20), ge=timedelta(seconds=1))
    """How long a worker may be silent before its execution counts as abandoned."""

    reconcile_every: timedelta = Field(default=timedelta(seconds=5), ge=timedelta(milliseconds=50))
    """How often executions that could not be dispatched, or whose worker is gone, are looked at again."""

    execution_token_lifetime: timedelta = Field(default=timedelta(hours=24), ge=timedelta(minutes=1))
    """Upper bound of one claim; the token dies earlier when the execution ends."""

    max_body_bytes: int = Field(default=1_048_576, ge=LEAST_BODY_BYTES)
    """Larger request bodies are refused with 413. At least as many as a worker may send in one report."""

    stream_keepalive: timedelta = Field(default=timedelta(seconds=15), ge=timedelta(milliseconds=50))
    """How often an idle event stream sends a comment so that proxies keep it open."""


@cache
def settings() -> Settings:
    """This process's settings. Raises `pydantic.ValidationError` naming each variable that is missing or wrong."""
    return Settings()

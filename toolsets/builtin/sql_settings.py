"""What whoever runs an environment decides about its database."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from toolsets import ToolContext

SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
Schema = Annotated[str, StringConstraints(pattern=r"^[^\x00\"]{1,63}$")]


class SqlSettings(BaseModel):
    """Settings of the toolset `sql`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    secret: SecretName = "database_url"  # noqa: S105 - its name
    """The secret with the address and the login, `postgresql://user:password@host:5432/name?sslmode=verify-full`."""

    writable: bool = False
    """Whether `execute` may change data. All other tools are in read-only transactions anyway."""

    schemas: tuple[Schema, ...] = ()
    """The search path, and the schemas whose tables are listed and described; empty: those of the login. What the
    login may read elsewhere can still be queried by its full name."""

    privileged: bool = False
    """Whether the login may be a superuser, or one that reaches the server's files, programs or other sessions."""

    timeout_seconds: float = Field(default=30, gt=0, le=3600)
    """How long a statement may take."""

    max_rows: int = Field(default=500, ge=1, le=100_000)
    """How many rows are returned."""


Context = ToolContext[SqlSettings]

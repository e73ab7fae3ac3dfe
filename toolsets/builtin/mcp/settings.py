"""What whoever runs an environment decides about the MCP servers of its agents."""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, IPvAnyNetwork, StringConstraints, model_validator

from toolsets import Effect
from toolsets.builtin.base_urls import BaseUrl
from toolsets.builtin.sandbox import SandboxSettings

ServerName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,20}$")]
SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,99}$")]

_PLACE = re.compile(r"\{([A-Za-z0-9][A-Za-z0-9_.-]{0,99})\}")


def _template(text: str) -> str:
    if not _PLACE.search(text) or any(character in text for character in "\r\n\0"):
        raise ValueError("must name a secret in braces, as in `Bearer {jira_token}`")
    return text


class McpServer(BaseModel):
    """One MCP server: a `command` that speaks over its standard streams, or the `url` of one that speaks HTTP."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: tuple[Annotated[str, Field(min_length=1)], ...] | None = Field(
        default=None, min_length=1, description="A program on the worker and its arguments. It runs in the sandbox."
    )
    sandbox: SandboxSettings = Field(default=SandboxSettings(), description="Of the command.")
    secret_environment: dict[VariableName, SecretName] = Field(
        default={}, description="Variables of the command and the names of the secrets that they hold."
    )
    url: BaseUrl | None = Field(default=None, description="Of a server that speaks streamable HTTP.")
    secret_headers: dict[HeaderName, Annotated[str, AfterValidator(_template)]] = Field(
        default={}, description="Headers for the URL, with names of secrets in braces: `Bearer {jira_token}`."
    )
    allowed_networks: tuple[IPvAnyNetwork, ...] = Field(
        default=(), description="Networks that the URL may be in although they aren't public, such as 10.1.0.0/16."
    )
    tools: frozenset[str] | None = Field(default=None, description="The only ones that are offered; null: all.")
    annotations: Literal["believed", "ignored"] = Field(
        default="believed", description="What the server says of its tools' effects. Ignored: each counts as `destroy`."
    )
    effects: dict[str, Effect] = Field(default={}, description="Effects of tools that are stricter than announced.")
    allow_weaker_effects: bool = Field(default=False, description="Whether `effects` may be weaker than announced too.")
    pinned: str | None = Field(
        default=None,
        pattern=r"^sha256:[0-9a-f]{64}$",
        description="What the tools must be, descriptions and all. The worker's log names it; so does the refusal.",
    )
    start_seconds: float = Field(default=30, gt=0, le=300, description="Within which it must have said what it offers.")

    @model_validator(mode="after")
    def _one_way_to_it(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("give either a command or a url")
        if self.command is None and (self.secret_environment or "sandbox" in self.model_fields_set):
            raise ValueError("sandbox and secret_environment are for a command")
        if self.url is None and (self.secret_headers or self.allowed_networks):
            raise ValueError("secret_headers and allowed_networks are for a url")
        return self

    def secrets(self) -> Iterator[str]:
        """The names of the secrets that it is given."""
        yield from self.secret_environment.values()
        for template in self.secret_headers.values():
            yield from _PLACE.findall(template)


class McpSettings(BaseModel):
    """The servers by the names that precede their tools: those of `jira` are called `mcp_jira_…`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    servers: dict[ServerName, McpServer] = Field(
        default={}, max_length=20, description="Servers by name. What each is told stands in the next table."
    )

    def secrets(self) -> Sequence[str]:
        """The names of the secrets that any server is given."""
        return list(dict.fromkeys(name for server in self.servers.values() for name in server.secrets()))

    def hosts(self) -> Sequence[str]:
        """Where the servers with a URL are."""
        return [urlsplit(server.url).netloc for server in self.servers.values() if server.url]


def filled(template: str, secrets: dict[str, str]) -> str:
    """A header's value, with the secrets in their places."""
    return _PLACE.sub(lambda place: secrets[place[1]], template)

"""What whoever runs an environment decides about `github`."""

import re
from collections.abc import Sequence
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, IPvAnyNetwork, model_validator

from toolsets import ToolFailed
from toolsets.builtin.base_urls import BaseUrl

_REPOSITORY = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]{0,99})/([A-Za-z0-9._-]{1,100})")


def _pattern(text: str) -> str:
    if not _REPOSITORY.fullmatch(text.replace("/*", "/all")):
        raise ValueError("must be owner/repository, or owner/* for all of an owner")
    return text.lower()


class GithubSettings(BaseModel):
    """Which repositories, with whose rights. What the token may do comes on top."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: str = Field(default="github_token", min_length=1, description="Name of the secret that holds it.")
    app_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9.]{1,40}$", description="Of a GitHub App.")
    installation_id: str | None = Field(default=None, pattern=r"^[0-9]{1,20}$", description="Of that app.")
    private_key: str = Field(
        default="github_private_key", min_length=1, description="Name of the secret that holds the app's key."
    )
    repositories: frozenset[Annotated[str, AfterValidator(_pattern)]] | None = Field(
        default=None, description="The only ones that may be seen or touched: owner/name, or owner/*; null: all."
    )
    read_only: bool = Field(default=False, description="Whether nothing may be changed.")
    base_url: BaseUrl = Field(
        default="https://api.github.com", description="Of GitHub Enterprise: https://HOST/api/v3."
    )
    allowed_networks: tuple[IPvAnyNetwork, ...] = Field(
        default=(), description="Networks the server may be in although they aren't public, such as 10.1.0.0/16."
    )

    @model_validator(mode="after")
    def _app_is_whole(self) -> Self:
        if (self.app_id is None) != (self.installation_id is None):
            raise ValueError("app_id and installation_id belong together")
        return self

    def secrets(self) -> tuple[str, ...]:
        """Which secrets the tools ask for."""
        return (self.private_key if self.app_id else self.token,)

    def hosts(self) -> Sequence[str]:
        """Where the tools connect to. Logs of workflows are kept elsewhere, at an address that GitHub names."""
        return (urlsplit(self.base_url).netloc,)

    def check_writable(self) -> None:
        """Raise `ToolFailed` where nothing may be changed."""
        if self.read_only:
            raise ToolFailed("GitHub is read-only here. Say what should be changed instead of doing it.")

    def located(self, repository: str) -> dict[str, str]:
        """Owner and repository of `owner/name`. Raises `ToolFailed` if it is out of bounds or no such thing."""
        found = _REPOSITORY.fullmatch(repository)
        if not found or found[2] in {".", ".."}:
            raise ToolFailed(f"{repository!r} is no repository. Name one as owner/name.")
        owner, name = found.groups()
        if self.repositories is not None and not {f"{owner}/{name}".lower(), f"{owner}/*".lower()} & self.repositories:
            allowed = ", ".join(sorted(self.repositories)) or "none"
            raise ToolFailed(f"The repository {repository} is out of bounds here. Allowed are: {allowed}.")
        return {"owner": owner, "repo": name}

"""What whoever runs an environment decides about git."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, IPvAnyNetwork, StringConstraints

from toolsets.builtin.hosts import HostPattern
from toolsets.builtin.sandbox import SandboxSettings

SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
Line = Annotated[str, StringConstraints(pattern=r"^[^\n\r\x00<>]{1,200}$")]


class GitSettings(SandboxSettings):
    """Settings of the toolset `git`."""

    network: Literal[False] = False
    """Only clone, fetch and push reach the network, and only the host of their URL."""

    allowed_hosts: tuple[HostPattern, ...] | None = None
    """Hosts to clone from, fetch from and push to. Null: any public one."""

    allowed_networks: tuple[IPvAnyNetwork, ...] = ()
    """Networks that may be reached although they aren't public, such as `10.1.0.0/16`."""

    tokens: dict[HostPattern, SecretName] = Field(default={})
    """For each host, the secret with the token or password to sign in with, over https only."""

    token_user: Line = "x-access-token"  # noqa: S105 - a user's name
    """The user name that goes with a token. This one is GitHub's; GitLab takes `oauth2`."""

    plain_http: bool = False
    """Whether URLs may begin with http://, which anybody on the way can read and change."""

    push: bool = True
    """Whether anything may be pushed."""

    protected_branches: tuple[Line, ...] = ()
    """Branches that may not be pushed to, such as `main` or `release/*`."""

    author_name: Line = "Agent"
    """Who commits."""

    author_email: Line = "agent@localhost"
    """The address that stands in commits."""

    ca_file: Path | None = None
    """File with the certificates (PEM) of authorities to trust instead of the public ones."""

    timeout_seconds: float = Field(default=300, gt=0, le=3600)
    """How long a call may take."""

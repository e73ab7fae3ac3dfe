"""Reaching other repositories.

What goes over the network does so from a repository of its own, which nobody else can write into and which is gone
afterwards. So no process that has a token or the network reads a configuration that an agent or a stranger has written.
The host's address is judged once and pinned.
"""

import base64
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import httpx

from toolsets import ToolFailed
from toolsets.builtin.addresses import checked_addresses
from toolsets.builtin.git.commands import STATUS, Context, branch_name, git, in_repository
from toolsets.builtin.hosts import is_listed

_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class _Remote:
    url: str
    configuration: dict[str, str]
    readable: Sequence[Path]


async def clone(context: Context, url: str, folder: str, *, branch: str | None, depth: int | None) -> str:
    """Copy a repository into a folder of the workspace; what git says about it."""
    remote = await _remote(context, url)
    chosen = [*(["--branch", branch_name(branch)] if branch else []), *(["--depth", str(depth)] if depth else [])]
    with tempfile.TemporaryDirectory(prefix="git-") as private:
        await _over_network(
            context, Path(private), remote, "clone", "--bare", "--template=", *chosen, "--", remote.url, "repository"
        )
        await git(
            context,
            *("clone", "--template=", "--no-recurse-submodules", *(["--branch", branch] if branch else [])),
            *("--", f"{private}/repository", f"./{folder}"),
            protocols="file",
            readable=[Path(private)],
        )
    await git(context, "remote", "set-url", "origin", remote.url, folder=folder)
    return await git(context, *STATUS, folder=folder)


async def fetch(context: Context, folder: str) -> str:
    """Get the branches of `origin` as they are now; what git says about them."""
    url = (await in_repository(context, "remote", "get-url", "origin", folder=folder)).strip()
    remote = await _remote(context, url)
    with tempfile.TemporaryDirectory(prefix="git-") as private:
        await _over_network(
            context, Path(private), remote, "clone", "--bare", "--template=", "--", remote.url, "repository"
        )
        await git(
            context,
            *("fetch", "--prune", "--no-recurse-submodules", "--", f"{private}/repository"),
            "+refs/heads/*:refs/remotes/origin/*",
            folder=folder,
            protocols="file",
            readable=[Path(private)],
        )
    return await in_repository(context, "branch", "--all", "--verbose", folder=folder)


async def push(context: Context, folder: str, branch: str) -> str:
    """Send a branch to `origin`; what git says about it."""
    settings = context.settings
    if not settings.push:
        raise ToolFailed("Nothing may be pushed here.")
    branch_name(branch)
    if any(fnmatchcase(branch, pattern) for pattern in settings.protected_branches):
        raise ToolFailed(
            f"The branch {branch} may not be pushed to here. Push another one and ask for it to be merged."
        )
    url = (await in_repository(context, "remote", "get-url", "--push", "origin", folder=folder)).strip()
    remote = await _remote(context, url)
    commit = (await git(context, "rev-parse", "--verify", f"refs/heads/{branch}", folder=folder)).strip()
    objects = (await git(context, "rev-parse", "--git-path", "objects", folder=folder)).strip()
    if not re.fullmatch(r"[0-9a-f]{40,64}", commit) or ".." in objects or objects.startswith("/"):
        raise ToolFailed(f"{folder} is not the top folder of a repository with a branch {branch}.")
    # All of it is shown to git, not the folder of the objects: what is a link in there must not lead out.
    root = settings.root or context.workspace
    with tempfile.TemporaryDirectory(prefix="git-") as private:
        await git(context, "init", "--bare", "--template=", place=Path(private))
        return await _over_network(
            context,
            *(Path(private), remote, "push", "--porcelain", "--", remote.url, f"{commit}:refs/heads/{branch}"),
            shown=root,
            objects=root / folder / objects,
        )


async def _over_network(
    context: Context,
    place: Path,
    remote: _Remote,
    *arguments: str,
    shown: Path | None = None,
    objects: Path | None = None,
) -> str:
    return await git(
        context,
        *arguments,
        place=place,
        protocols="https:http" if context.settings.plain_http else "https",
        configuration=remote.configuration,
        readable=[*remote.readable, *([shown] if shown else [])],
        network=True,
        environment={"GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects)} if objects else None,
    )


async def _remote(context: Context, url: str) -> _Remote:
    settings = context.settings
    schemes = ("https", "http") if settings.plain_http else ("https",)
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ToolFailed(f"This is not a URL: {error}.") from error
    if parsed.scheme not in schemes or not parsed.host or parsed.userinfo or parsed.query or parsed.fragment:
        raise ToolFailed(
            f"The repository must be given as {' or '.join(f'{scheme}://host/path' for scheme in schemes)}, without a"
            " user, password or query."
        )
    host = parsed.raw_host.decode("ascii")
    port = parsed.port or _PORTS[parsed.scheme]
    if settings.allowed_hosts is not None and not is_listed(host, port, settings.allowed_hosts):
        allowed = ", ".join(settings.allowed_hosts) or "none"
        raise ToolFailed(f"The host {host} (port {port}) may not be reached here. Allowed are: {allowed}.")
    addresses = await checked_addresses(host, port, allowed=settings.allowed_networks)
    configuration = {
        "http.curloptResolve": f"{host}:{port}:" + ",".join(f"[{one}]" if ":" in one else one for one in addresses)
    }
    if settings.ca_file:
        configuration["http.sslCAInfo"] = str(settings.ca_file)
    if parsed.scheme == "https":
        for pattern, secret in settings.tokens.items():
            if is_listed(host, port, [pattern]):
                signed_in = f"{settings.token_user}:{await context.secret(secret)}".encode()
                header = f"Authorization: Basic {base64.b64encode(signed_in).decode()}"
                configuration[f"http.https://{parsed.netloc.decode('ascii')}/.extraHeader"] = header
    return _Remote(str(parsed), configuration, [settings.ca_file] if settings.ca_file else [])

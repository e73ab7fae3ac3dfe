"""Requests to web servers, but not into the network that the worker stands in.

Each hop of a redirect is a request of its own: its host is checked against the settings, its address against
`addresses`, and it gets the authorization only if it is a host that is to have it.
"""

import asyncio
import functools
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import httpx
from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, StringConstraints

from toolsets import Retryable, ToolContext, ToolFailed, Toolset, hookimpl
from toolsets.builtin.addresses import checked_addresses
from toolsets.builtin.hosts import HostPattern, is_listed
from toolsets.builtin.http_bodies import Body, read_body

_REDIRECTS = {301, 302, 303, 307, 308}
_KEEP_METHOD = {307, 308}
_OURS = {"connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
_PRIVATE = {"authorization", "cookie", "proxy-authorization"}
_PORTS = {"http": 80, "https": 443}

SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]


class HttpSettings(BaseModel):
    """Settings of the toolset `http`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    allowed_hosts: tuple[HostPattern, ...] | None = None
    """Hosts that may be asked: `example.com`, `*.example.com`, `example.com:8443`. Null: any public one."""

    allowed_networks: tuple[IPvAnyNetwork, ...] = ()
    """Networks that may be reached although they aren't public, such as `10.1.0.0/16`."""

    authorization: dict[HostPattern, SecretName] = {}
    """For each host, the secret that it gets as the header `Authorization`, over https only. The secret is all of the
    header's value, such as `Bearer …`."""

    read_only: bool = False
    """Whether only `get` and `head` may be used."""

    ca_file: Path | None = None
    """File with the certificates (PEM) of authorities to trust instead of the public ones."""

    timeout_seconds: float = Field(default=30, gt=0, le=600)
    """How long a request may take, redirects and all."""

    max_bytes: int = Field(default=2_000_000, ge=1, le=100_000_000)
    """How much of an answer is read, decompressed."""

    max_redirects: int = Field(default=5, ge=0, le=20)
    """How many redirects are followed."""


Context = ToolContext[HttpSettings]
Headers = dict[str, str] | None

http = Toolset(
    "http",
    description="Requests to web servers.",
    settings=HttpSettings,
    secrets=lambda settings: (*settings.authorization.values(),),
    hosts=lambda settings: settings.allowed_hosts or (),
)


@http.tool(effect="read")
async def get(context: Context, url: str, headers: Headers = None) -> dict[str, object]:
    """Get what is at a URL: its status, headers and body. Redirects are followed."""
    return await _answer(context, "GET", url, headers)


@http.tool(effect="read")
async def head(context: Context, url: str, headers: Headers = None) -> dict[str, object]:
    """Get the status and the headers of what is at a URL, without its body."""
    return await _answer(context, "HEAD", url, headers)


@http.tool(effect="write")
async def post(
    context: Context, url: str, body: str = "", content_type: str = "application/json", headers: Headers = None
) -> dict[str, object]:
    """Send a body to a URL with POST."""
    return await _answer(context, "POST", url, headers, body=body, content_type=content_type)


@http.tool(effect="write")
async def put(
    context: Context, url: str, body: str = "", content_type: str = "application/json", headers: Headers = None
) -> dict[str, object]:
    """Put a body at a URL, in place of what is there."""
    return await _answer(context, "PUT", url, headers, body=body, content_type=content_type)


@http.tool(effect="write")
async def patch(
    context: Context, url: str, body: str = "", content_type: str = "application/json", headers: Headers = None
) -> dict[str, object]:
    """Change what is at a URL as the body says, with PATCH."""
    return await _answer(context, "PATCH", url, headers, body=body, content_type=content_type)


@http.tool(effect="destroy")
async def delete(context: Context, url: str, headers: Headers = None) -> dict[str, object]:
    """Delete what is at a URL."""
    return await _answer(context, "DELETE", url, headers)


@dataclass(frozen=True, slots=True)
class _Hop:
    """One request. `private` headers of the model are only for the host that it named."""

    method: str
    url: httpx.URL
    headers: httpx.Headers
    body: bytes


async def _answer(
    context: Context, method: str, url: str, headers: Headers, *, body: str = "", content_type: str = ""
) -> dict[str, object]:
    settings = context.settings
    reads = method in {"GET", "HEAD"}
    if settings.read_only and not reads:
        raise ToolFailed("Only get and head may be used here.")
    hop = _Hop(method, _parsed(url), _headers(headers, content_type), body.encode())
    try:
        async with asyncio.timeout(settings.timeout_seconds) as limit:
            for _ in range(settings.max_redirects + 1):
                response, content = await _ask(context, hop)
                location = response.headers.get("location")
                if response.status_code not in _REDIRECTS or not location:
                    return _told(hop, response, content)
                hop = _next(hop, response.status_code, location)
    except TimeoutError as error:
        if not limit.expired():
            raise
        failed = f"{hop.url.host} did not answer in full within {settings.timeout_seconds:g} s."
        raise (Retryable(failed) if reads else ToolFailed(f"{failed} It may have done what was asked.")) from error
    except httpx.TransportError as error:
        failed = f"The request to {hop.url.host} failed: {str(error) or type(error).__name__}."
        raise (Retryable(failed) if reads else ToolFailed(f"{failed} It may have been received.")) from error
    raise ToolFailed(f"There are more than {settings.max_redirects} redirects. The last one leads to {hop.url}.")


async def _ask(context: Context, hop: _Hop) -> tuple[httpx.Response, Body]:
    settings = context.settings
    host = hop.url.raw_host.decode("ascii")
    port = hop.url.port or _PORTS[hop.url.scheme]
    if settings.allowed_hosts is not None and not is_listed(host, port, settings.allowed_hosts):
        allowed = ", ".join(settings.allowed_hosts) or "none"
        raise ToolFailed(f"The host {host} (port {port}) may not be asked here. Allowed are: {allowed}.")
    addresses = await checked_addresses(host, port, allowed=settings.allowed_networks)
    headers = hop.headers.copy()
    headers["host"] = hop.url.netloc.decode("ascii")
    if hop.url.scheme == "https":
        for pattern, secret in settings.authorization.items():
            if is_listed(host, port, [pattern]):
                headers["authorization"] = await context.secret(secret)
    transport = httpx.AsyncHTTPTransport(verify=_trust(settings.ca_file), trust_env=False)
    async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=settings.timeout_seconds) as client:
        request = client.build_request(
            hop.method,
            hop.url,
            headers=headers,
            content=hop.body or None,
            # The certificate has to be the host's, although the connection is made to its address.
            extensions={"sni_hostname": host},
        )
        response = await _sent(client, request, addresses)
        try:
            return response, await read_body(response, settings.max_bytes)
        finally:
            await response.aclose()


async def _sent(client: httpx.AsyncClient, request: httpx.Request, addresses: Sequence[str]) -> httpx.Response:
    """The answer of the first address that lets us connect. The name is not looked up again."""
    url = request.url
    for address in addresses[:-1]:
        request.url = url.copy_with(host=address)
        try:
            return await client.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            continue
    request.url = url.copy_with(host=addresses[-1])
    return await client.send(request, stream=True)


def _parsed(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url.strip())
    except httpx.InvalidURL as error:
        raise ToolFailed(f"This is not a URL: {error}.") from error
    if parsed.scheme not in _PORTS or not parsed.host:
        raise ToolFailed("Give a full URL that begins with https:// or http://.")
    if parsed.userinfo:
        raise ToolFailed("Leave the user and password before the @ out of the URL.")
    return parsed.copy_with(fragment=None)


def _headers(headers: Headers, content_type: str) -> httpx.Headers:
    try:
        wanted = httpx.Headers(headers or {})
        wanted.raw  # noqa: B018 - encodes them
    except UnicodeEncodeError as error:
        raise ToolFailed("Headers must be plain ASCII.") from error
    for name, value in wanted.items():
        if name in _OURS or name.startswith("proxy-"):
            raise ToolFailed(f"The header {name} can't be set. Leave it out.")
        if any(character in name + value for character in "\r\n\0"):
            raise ToolFailed("A header holds a line break. Leave it out.")
    if content_type:
        wanted.setdefault("content-type", content_type)
    wanted.setdefault("user-agent", "agent-control-plane")
    wanted["accept-encoding"] = "gzip"
    return wanted


def _next(hop: _Hop, status: int, location: str) -> _Hop:
    try:
        url = _parsed(str(hop.url.join(location)))
    except httpx.InvalidURL as error:
        raise ToolFailed(f"The redirect of {hop.url.host} leads to something that is not a URL.") from error
    headers = hop.headers.copy()
    if (url.scheme, url.host, url.port) != (hop.url.scheme, hop.url.host, hop.url.port):
        for name in _PRIVATE & {*headers}:
            del headers[name]
    if status in _KEEP_METHOD or hop.method in {"GET", "HEAD"}:
        return _Hop(hop.method, url, headers, hop.body)
    headers.pop("content-type", None)
    return _Hop("GET", url, headers, b"")


def _told(hop: _Hop, response: httpx.Response, content: Body) -> dict[str, object]:
    headers = {name: value for name, value in response.headers.items() if name not in {"set-cookie", "set-cookie2"}}
    return {"url": str(hop.url), "status": response.status_code, "headers": headers, **content.told()}


@functools.cache
def _trust(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context(verify=ssl.create_default_context(cafile=ca_file) if ca_file else True)
    except OSError as error:
        raise ToolFailed(f"The setting ca_file names {ca_file}, which can't be read as certificates.") from error


@hookimpl
def register_toolset() -> Toolset:
    """The toolset `http`."""
    return http

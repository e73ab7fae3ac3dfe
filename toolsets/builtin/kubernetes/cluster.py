"""Speaking to a cluster's API server: one connection a call, and errors as a model can use them."""

import ipaddress
import json
import re
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes_asyncio.client import ApiClient, ApiException, Configuration

from toolsets import Retryable, ToolFailed
from toolsets.builtin.guarded_sessions import Redirected, cause, guarded_session
from toolsets.builtin.kubernetes.kubeconfig import Access

REQUEST_SECONDS = 30.0

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._:-]{0,251}[A-Za-z0-9])?")
_MEANINGS = {
    401: "The cluster doesn't accept the credentials of the kubeconfig.",
    403: "The credentials may not do that.",
    404: "There is no such thing.",
    405: "The cluster can't do that to this kind.",
    409: "It conflicts with what is there.",
    422: "The cluster finds it invalid.",
}
_PASSING = frozenset({408, 429, 500, 502, 503, 504})

Query = Sequence[tuple[str, str | int]]


class Cluster:
    """An open connection to an API server, for one request after the other."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    async def request(
        self,
        method: str,
        path: str,
        names: Mapping[str, str] | None = None,
        *,
        query: Query = (),
        body: Any = None,
        accept: str = "application/json",
        content_type: str = "application/json",
    ) -> Any:
        """The answer's JSON. `path` has a `{name}` for each of `names`, which are checked. Raises `ToolFailed`."""
        text = await self.text(method, path, names, query=query, body=body, accept=accept, content_type=content_type)
        try:
            return json.loads(text)
        except ValueError as error:
            raise ToolFailed("The API server answered with something that is no JSON.") from error

    async def text(
        self,
        method: str,
        path: str,
        names: Mapping[str, str] | None = None,
        *,
        query: Query = (),
        body: Any = None,
        accept: str = "*/*",
        content_type: str = "application/json",
    ) -> str:
        """The answer's text, otherwise as `request`."""
        for part in (names or {}).values():
            if not _NAME.fullmatch(part):
                raise ToolFailed(f"{part!r} can't be a name in Kubernetes.")
        try:
            await self._client.call_api(
                path,
                method,
                dict(names or {}),
                list(query),
                {"Accept": accept, "Content-Type": content_type},
                body=body,
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _request_timeout=REQUEST_SECONDS,
            )
        except ApiException as error:
            raise explained(error) from error
        except Redirected as error:
            raise ToolFailed(f"The API server can't be used: {error}.") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Retryable(f"The API server of the cluster can't be reached ({cause(error)}).") from error
        # What call_api makes of an answer isn't what was sent: a log of one JSON line would become a Python dict.
        return str(self._client.last_response.data)  # type: ignore[attr-defined] # the stub leaves it out


def explained(error: ApiException) -> ToolFailed:
    """What the API server's refusal means to whoever asked."""
    try:
        message = json.loads(error.body or b"").get("message") or ""
    except (ValueError, TypeError, AttributeError):
        message = ""
    said = f" It says: {str(message)[:2_000]}" if message else ""
    if error.status in _PASSING:
        return Retryable(f"The cluster can't answer at the moment ({error.status}).{said}", after_seconds=_after(error))
    return ToolFailed(f"{_MEANINGS.get(error.status, f'The cluster refused it ({error.status}).')}{said}")


@asynccontextmanager
async def opened(access: Access, *, allow_loopback: bool) -> AsyncIterator[Cluster]:
    """A connection to a cluster."""
    configuration = Configuration(host=access.server)
    if access.token:
        configuration.api_key["BearerToken"] = f"Bearer {access.token}"
    async with ApiClient(configuration) as client:
        if access.username and not access.token:
            basic = aiohttp.BasicAuth(access.username, access.password or "")
            client.set_default_header("Authorization", basic.encode())
        # Its own would follow redirects, and use proxies and passwords that the worker's environment names.
        await client.rest_client.pool_manager.close()
        check = partial(_check, allow_loopback=allow_loopback)
        client.rest_client.pool_manager = guarded_session(check, tls=_tls(access), seconds=REQUEST_SECONDS)
        client.rest_client.server_hostname = access.server_name
        yield Cluster(client)


def _check(text: str, *, allow_loopback: bool) -> None:
    """API servers have private addresses. What answers on link-local ones gives out a machine's credentials."""
    address = ipaddress.ip_address(text.partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_link_local or address.is_multicast or address.is_unspecified or address in _METADATA:
        raise OSError(f"{address} is no address of an API server")
    if address.is_loopback and not allow_loopback:
        raise OSError(f"{address} is this machine; the setting allow_loopback permits that")


_METADATA = frozenset({ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200")})


def _tls(access: Access) -> ssl.SSLContext:
    try:
        tls = ssl.create_default_context(cadata=access.authority)
        if access.certificate:
            _present(tls, access.certificate, access.key or "")
    except (ssl.SSLError, ValueError) as error:
        raise ToolFailed("A certificate or key in the kubeconfig is no PEM that can be used.") from error
    return tls


def _present(tls: ssl.SSLContext, certificate: str, key: str) -> None:
    """Python reads a certificate to show from a file only; it is gone when it has."""
    with tempfile.TemporaryDirectory() as folder:
        chain = Path(folder, "pem")
        chain.touch(mode=0o600)
        chain.write_text(f"{certificate}\n{key}\n")
        tls.load_cert_chain(chain)


def _after(error: ApiException) -> float | None:
    try:
        return float(dict(error.headers or {})["Retry-After"])
    except (KeyError, ValueError):
        return None

"""Sessions for clients that are built on aiohttp: no redirects, no proxies, and no address that isn't permitted."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import aiohttp

MAX_RESPONSE_BYTES = 20_000_000


class Redirected(aiohttp.ClientError):
    """The server sends us elsewhere, to `location`; credentials are for the server that was named."""

    def __init__(self, location: str) -> None:
        super().__init__("it redirects to somewhere else, which isn't followed")
        self.location = location


def guarded_session(
    check: Callable[[str], None], *, tls: ssl.SSLContext | None = None, seconds: float = 30.0
) -> aiohttp.ClientSession:
    """A session. `check` gets each address that a connection is about to be made to, and raises if it may not be.

    That is the address itself, after every look-up of a name, so nobody can change it between check and use. An
    `OSError` of `check` comes out as aiohttp's `ClientConnectorError`.
    """

    def made(info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, address = info
        check(str(address[0]))
        return socket.socket(family, kind, protocol)

    connector = aiohttp.TCPConnector(ssl=tls or True, socket_factory=made, limit=8)
    return aiohttp.ClientSession(
        connector=connector,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=[_tracing()],
        timeout=aiohttp.ClientTimeout(total=seconds),
    )


def cause(error: BaseException) -> str:
    """Why a request came to nothing, in a few words."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return str(error.os_error) or type(error.os_error).__name__
    if isinstance(error, aiohttp.ClientResponseError):
        return str(error.status)
    return str(error) or type(error).__name__


def _tracing() -> aiohttp.TraceConfig:
    tracing = aiohttp.TraceConfig()
    tracing.on_request_redirect.append(_refuse_redirect)
    tracing.on_request_end.append(_refuse_huge)
    return tracing


async def _refuse_redirect(
    _: aiohttp.ClientSession, __: SimpleNamespace, redirect: aiohttp.TraceRequestRedirectParams
) -> None:
    redirect.response.close()
    raise Redirected(redirect.response.headers.get("Location", ""))


async def _refuse_huge(_: aiohttp.ClientSession, __: SimpleNamespace, ended: aiohttp.TraceRequestEndParams) -> None:
    if (ended.response.content_length or 0) > MAX_RESPONSE_BYTES:
        ended.response.close()
        await asyncio.sleep(0)
        raise aiohttp.ClientPayloadError("its answer is too large; ask for less")

"""Connections to public addresses only: a tenant's provider must not lead this server to what stands around it.

The check is made with the very address that is connected to, after the name has been looked up, so a name that changes
what it stands for gains nothing.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpcore
import httpx

from toolsets.builtin.addresses import may_be_reached

MOST_BYTES = 64 * 1024 * 1024
"""A stream of 100,000 tokens takes a third of it."""


class AddressRefused(httpx.ConnectError):
    """The provider's address isn't public."""


class PublicTransport(httpx.AsyncHTTPTransport):
    """`httpx.AsyncHTTPTransport` whose connections end at public addresses."""

    def __init__(self, *, limits: httpx.Limits) -> None:
        super().__init__(trust_env=False)
        # httpx has no parameter for it.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_PublicBackend(),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. Raises `AddressRefused`."""
        try:
            response = await super().handle_async_request(request)
        except _Refused as refused:
            raise AddressRefused(str(refused), request=request) from refused
        response.stream = _Bounded(response.stream)
        return response


class _Bounded(httpx.AsyncByteStream):
    """An answer of at most `MOST_BYTES`: whoever is at the other end must not fill this server's memory."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MOST_BYTES
        async for piece in self._stream:
            left -= len(piece)
            if left < 0:
                raise httpx.ReadError("the answer is too large")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Refused(Exception):
    pass


class _PublicBackend(httpcore.AsyncNetworkBackend):
    def __init__(self) -> None:
        self._plain = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Look the name up and connect to the first public address. Refuses if any of them isn't."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} is unknown") from error
        addresses = [str(entry[4][0]) for entry in found]
        if not addresses or not all(map(may_be_reached, addresses)):
            raise _Refused(f"{host} isn't at a public address")
        return await self._plain.connect_tcp(addresses[0], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await self._plain.sleep(seconds)

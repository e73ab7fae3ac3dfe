"""A client of the gateway's WebSockets, as Prefect's are."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol


@asynccontextmanager
async def connected(url: str, *, header: str | None = None) -> AsyncIterator[ClientConnection]:
    """An open connection that hasn't signed in yet."""
    headers = {"Authorization": f"Bearer {header}"} if header else None
    async with connect(url, subprotocols=[Subprotocol("prefect")], additional_headers=headers, proxy=None) as socket:
        yield socket


@asynccontextmanager
async def signed_in(url: str, token: str) -> AsyncIterator[ClientConnection]:
    """A connection whose first message was the token."""
    async with connected(url) as socket:
        await say(socket, {"type": "auth", "token": token})
        assert await hear(socket) == {"type": "auth_success"}
        yield socket


async def say(socket: ClientConnection, message: dict[str, Any]) -> None:
    await socket.send(json.dumps(message))


async def hear(socket: ClientConnection, *, seconds: float = 20) -> Any:
    async with asyncio.timeout(seconds):
        return json.loads(await socket.recv())


async def closed(socket: ClientConnection, *, seconds: float = 20) -> tuple[int | None, str | None]:
    """How the other side ended the connection."""
    async with asyncio.timeout(seconds):
        await socket.wait_closed()
    return socket.close_code, socket.close_reason

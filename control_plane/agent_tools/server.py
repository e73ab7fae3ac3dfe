"""The Model Context Protocol, spoken by its own library: sessions, versions and framing are its business.

It is loaded when the first client comes: that takes a second of processor time, and many servers never need it.
"""

import asyncio
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import anyio
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from control_plane import __version__
from control_plane.agent_tools.conversation import Conversation

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

HANDLERS = "control_plane.agent_tools.handlers"


class McpServer:
    """One for each API process, without state: any of them answers any request. `await stop()` at the end."""

    def __init__(self) -> None:
        self._manager: StreamableHTTPSessionManager | None = None
        self._running: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()
        self._loading = asyncio.Lock()

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whose credential and path have been checked."""
        manager = await self._loaded()
        await manager.handle_request(scope, receive, send)

    async def stop(self) -> None:
        """End what is under way."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _loaded(self) -> "StreamableHTTPSessionManager":
        async with self._loading:
            if self._manager is None:
                handlers: Any = await asyncio.to_thread(import_module, HANDLERS)
                self._manager = handlers.manager(version=__version__)
                # In a task of its own: what it starts must not end with the request that came first.
                self._running = asyncio.create_task(self._run(self._manager), name="agents as MCP tools")
        await self._begun.wait()
        return self._manager

    async def _run(self, manager: "StreamableHTTPSessionManager") -> None:
        async with manager.run():
            self._begun.set()
            await asyncio.Event().wait()


class HandedOver(Response):
    """The answer to a request that has been read already, which the library gives."""

    def __init__(
        self, server: McpServer, conversation: Conversation, body: bytes, *, headers: Mapping[str, str]
    ) -> None:
        super().__init__(headers=headers)
        self._server = server
        self._conversation = conversation
        self._read = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer it."""
        waiting: list[Message] = [{"type": "http.request", "body": self._read, "more_body": False}]

        async def replayed() -> Message:
            return waiting.pop() if waiting else await receive()

        try:
            await self._server.handle(scope, replayed, send)
        finally:
            # The library may refuse a message for reasons of its own, or the client be gone before it is asked.
            if (call := self._conversation.call) is not None and not call.taken:
                with anyio.CancelScope(shield=True):
                    await self._conversation.left()

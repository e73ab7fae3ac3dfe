"""A connection to one MCP server, kept for as long as its execution lasts."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import Implementation, Tool

from toolsets import ToolFailed
from toolsets.builtin.addresses import Network, checked_addresses
from toolsets.builtin.mcp.results import result_of
from toolsets.builtin.mcp.settings import McpServer, filled
from toolsets.builtin.sandbox import prepare

MAX_PAGES = 20
LAST_SECONDS = 10.0
MAX_ERROR = 2_000
MAX_LOG_LINES = 200
MAX_LOG_LINE = 500

_CLIENT = Implementation(name="agent-control-plane", version="1")

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class Connection:
    """An open session with a server. A task of its own keeps it: what breaks there ends that task and nothing else."""

    def __init__(self, name: str, client: Client, keeping: "asyncio.Task[None]") -> None:
        self._name = name
        self._client = client
        self._keeping = keeping

    async def tools(self) -> list[Tool]:
        """All that the server offers. Raises `ToolFailed`."""
        found: list[Tool] = []
        cursor = None
        for _ in range(MAX_PAGES):
            page = await self._answer(self._client.list_tools(cursor=cursor))
            found += page.tools
            cursor = page.next_cursor
            if not cursor:
                return found
        raise ToolFailed(f"The MCP server {self._name} never comes to the end of its tools.")

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Any:
        """What a tool answers. Raises `ToolFailed` with what the server says."""
        return result_of(await self._answer(self._client.call_tool(tool, dict(arguments))))

    async def _answer(self, request: Coroutine[Any, Any, Answer]) -> Answer:
        asked = asyncio.create_task(request)
        try:
            await asyncio.wait({asked, self._keeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not asked.done():
                asked.cancel()
                # The server is told that nobody waits any more.
                await asyncio.wait({asked}, timeout=1)
        if asked.cancelled():
            raise ToolFailed(f"The MCP server {self._name} is gone. Its tools can't be used any more.")
        try:
            return asked.result()
        except MCPError as error:
            raise ToolFailed(f"The MCP server {self._name} says: {error.message[:MAX_ERROR]}") from error
        # Whatever its library makes of an answer that breaks the protocol, or of a server that is going.
        except Exception as error:
            raise ToolFailed(f"The MCP server {self._name} gave no answer that can be used.") from error


@asynccontextmanager
async def connected(
    name: str, server: McpServer, *, secrets: Mapping[str, str], workspace: Path
) -> AsyncIterator[Connection]:
    """A connection. Raises `ToolFailed` where the server can't be started or reached."""
    transport = _program(name, server, secrets, workspace) if server.command else _remote(server, secrets)
    client = Client(transport, client_info=_CLIENT, cache=None)
    begun, leave = asyncio.Event(), asyncio.Event()

    async def keep() -> None:
        async with client:
            begun.set()
            await leave.wait()

    keeping = asyncio.create_task(keep())
    beginning = asyncio.create_task(begun.wait())
    try:
        await asyncio.wait({beginning, keeping}, timeout=server.start_seconds, return_when=asyncio.FIRST_COMPLETED)
        if keeping.done() and (error := keeping.exception()):
            raise _unusable(name, error) from error
        if not begun.is_set():
            raise ToolFailed(f"The MCP server {name} said nothing for {server.start_seconds:g} s.")
        yield Connection(name, client, keeping)
    finally:
        beginning.cancel()
        leave.set()
        await _ended(name, keeping, seconds=LAST_SECONDS if begun.is_set() else 0)


async def _ended(name: str, keeping: "asyncio.Task[None]", *, seconds: float) -> None:
    """Let the session end. One that takes its leave slowly must not keep the execution."""
    try:
        await asyncio.wait({keeping}, timeout=seconds)
    finally:
        keeping.cancel()
        await asyncio.wait({keeping}, timeout=LAST_SECONDS)
    if keeping.done() and not keeping.cancelled() and (error := keeping.exception()):
        logger.info("MCP server %s: its session broke (%s)", name, type(_leaves(error)[0]).__name__)


def _unusable(name: str, error: BaseException) -> ToolFailed:
    for each in _leaves(error):
        if isinstance(each, ToolFailed):
            return each
        if isinstance(each, MCPError):
            return ToolFailed(f"The MCP server {name} can't be used. It says: {each.message[:MAX_ERROR]}")
        if isinstance(each, httpx2.HTTPError):
            return ToolFailed(f"The MCP server {name} can't be reached: {str(each)[:MAX_ERROR]}")
    return ToolFailed(f"The MCP server {name} can't be used ({type(error).__name__}). The worker's log may say why.")


def _leaves(error: BaseException) -> list[BaseException]:
    inner = getattr(error, "exceptions", None)
    return [leaf for each in inner for leaf in _leaves(each)] if inner else [error]


@asynccontextmanager
async def _program(name: str, server: McpServer, secrets: Mapping[str, str], workspace: Path) -> AsyncIterator[Any]:
    environment = {variable: secrets[secret] for variable, secret in server.secret_environment.items()}
    prepared = await asyncio.to_thread(
        prepare, server.command or (), folder=workspace, settings=server.sandbox, environment=environment
    )
    parameters = StdioServerParameters(
        command=prepared.argv[0],
        args=prepared.argv[1:],
        env=prepared.environment,
        cwd=workspace,
        encoding_error_handler="replace",
    )
    async with _logged(name, hidden=[*environment.values()]) as errors:
        try:
            async with stdio_client(parameters, errlog=errors) as streams:
                yield streams
        finally:
            errors.close()


@asynccontextmanager
async def _logged(name: str, *, hidden: list[str]) -> AsyncIterator[Any]:
    """A file for what a program has to say of itself. It goes to the worker's log, up to a bound, without secrets."""
    read, write = os.pipe()
    reader = asyncio.StreamReader(limit=1 << 16)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read, "rb", buffering=0)
    )

    async def tell() -> None:
        lines = 0
        while True:
            try:
                line = await reader.readline()
            except ValueError:  # a line without end
                continue
            if not line:
                return
            lines += 1
            if lines > MAX_LOG_LINES:
                continue
            text = line.decode(errors="replace").rstrip()[:MAX_LOG_LINE]
            for secret in filter(None, hidden):
                text = text.replace(secret, "***")
            logger.info("MCP server %s: %s", name, text if lines < MAX_LOG_LINES else "(says too much to log)")

    telling = asyncio.create_task(tell())
    try:
        with os.fdopen(write, "w") as errors:
            yield errors
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(telling), 1)
    finally:
        telling.cancel()
        transport.close()


@asynccontextmanager
async def _remote(server: McpServer, secrets: Mapping[str, str]) -> AsyncIterator[Any]:
    url = server.url or ""
    headers = {name: filled(template, dict(secrets)).strip() for name, template in server.secret_headers.items()}
    if any(ord(character) < 32 for value in headers.values() for character in value):
        raise ToolFailed("A secret for a header holds a line break.")
    http = httpx2.AsyncClient(
        transport=_Guarded(server.allowed_networks),
        headers=headers,
        trust_env=False,
        # Reading: a tool may take its time, which the execution limits.
        timeout=httpx2.Timeout(30, read=None),
    )
    async with http, streamable_http_client(url, http_client=http) as streams:
        yield streams


class _Guarded(httpx2.AsyncBaseTransport):
    """Connects to addresses that are permitted, and to no other that the name may have in the meantime."""

    def __init__(self, allowed: tuple[Network, ...]) -> None:
        self._allowed = allowed
        self._transport = httpx2.AsyncHTTPTransport(trust_env=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        try:
            addresses = await checked_addresses(url.host, _port(url), allowed=self._allowed)
        except ToolFailed as failure:
            raise httpx2.ConnectError(str(failure)) from failure
        request.extensions = {**request.extensions, "sni_hostname": url.host}
        for last, address in ((address == addresses[-1], address) for address in addresses):
            request.url = url.copy_with(host=address)
            try:
                return await self._transport.handle_async_request(request)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if last:
                    raise
            finally:
                # What it is compared by when it comes to redirects.
                request.url = url
        raise httpx2.ConnectError("the host has no address")

    async def aclose(self) -> None:
        await self._transport.aclose()


def _port(url: httpx2.URL) -> int:
    return url.port or (80 if url.scheme == "http" else 443)

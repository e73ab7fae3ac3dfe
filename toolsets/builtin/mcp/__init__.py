"""MCP servers, the programs and services that the settings name: their tools become tools of the agent.

The tools are asked for when an execution begins and stay as they were said to be then. A program is started once for
the execution, in the sandbox, and ends with it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from toolsets import Tool, ToolContext, ToolFailed, Toolset, hookimpl
from toolsets.builtin.extras import check_installed
from toolsets.builtin.mcp.announced import Announced, announced, fingerprint
from toolsets.builtin.mcp.settings import McpServer, McpSettings

if TYPE_CHECKING:
    from toolsets.builtin.mcp.connections import Connection

logger = logging.getLogger(__name__)

mcp = Toolset(
    "mcp",
    description="The tools of MCP servers.",
    settings=McpSettings,
    secrets=McpSettings.secrets,
    hosts=McpSettings.hosts,
)


@mcp.opening
@asynccontextmanager
async def opened(context: ToolContext[McpSettings]) -> AsyncIterator[Sequence[Tool]]:
    """The tools of all servers."""
    servers = context.settings.servers
    if not servers:
        raise ToolFailed("No MCP server is named in its settings. Name one in a toolset configuration.")
    check_installed("mcp", extra="mcp")
    module = await asyncio.to_thread(_loaded)
    tools: list[Tool] = []
    async with AsyncExitStack() as stack:
        for name, server in servers.items():
            secrets = {secret: await context.secret(secret) for secret in server.secrets()}
            connection = await stack.enter_async_context(
                module.connected(name, server, secrets=secrets, workspace=context.workspace)
            )
            tools += await _offered(name, server, connection)
        _refuse_twins(tools)
        yield tools


def _refuse_twins(tools: Sequence[Tool]) -> None:
    """`a` with a tool `b_c` and `a_b` with a tool `c`: nobody could tell which of them is called."""
    names = [tool.name for tool in tools]
    if twins := sorted({name for name in names if names.count(name) > 1}):
        raise ToolFailed(f"Two MCP servers have a tool that is called {twins[0]}. Give one of them another name.")


async def _offered(name: str, server: McpServer, connection: "Connection") -> list[Tool]:
    try:
        async with asyncio.timeout(server.start_seconds):
            found = await connection.tools()
    except TimeoutError as error:
        raise ToolFailed(f"The MCP server {name} didn't say what it offers in {server.start_seconds:g} s.") from error
    logger.info("MCP server %s offers %s tools, %s", name, len(found), fingerprint(found))
    return [_tool(name, tool, connection) for tool in announced(name, server, found)]


def _tool(server: str, tool: Announced, connection: "Connection") -> Tool:
    try:
        return mcp.described(
            tool.name,
            _calling(connection, tool.remote),
            description=tool.description,
            parameters=tool.parameters,
            effect=tool.effect,
            idempotent=tool.idempotent,
        )
    except ValueError as error:
        raise ToolFailed(f"A tool of the MCP server {server} can't be offered: {error}") from error


def _calling(connection: "Connection", remote: str) -> Callable[..., Awaitable[Any]]:
    async def call(context: ToolContext[Any], arguments: dict[str, Any]) -> Any:  # noqa: ARG001 - as tools are called
        return await connection.call(remote, arguments)

    return call


def _loaded() -> ModuleType:
    # Late: the library takes more than a second to import, which only executions with servers should wait for.
    from toolsets.builtin.mcp import connections  # noqa: PLC0415

    return connections


@hookimpl
def register_toolset() -> Toolset:
    """The toolset `mcp`."""
    return mcp

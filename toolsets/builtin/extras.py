"""Toolsets whose client is an extra of the distribution.

What such a toolset declares (tools, settings, secrets) can be read without the client: API servers check configurations
by it and carry out nothing. Where an execution begins, the client has to be there.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any

from toolsets import Tool, ToolContext, ToolFailed, Toolset


def needs(toolset: Toolset, client: str) -> None:
    """Have executions with this toolset fail at their beginning where the module `client` isn't installed."""

    @asynccontextmanager
    async def opened(_: ToolContext[Any]) -> AsyncIterator[Sequence[Tool]]:
        check_installed(client, extra=toolset.name)
        yield ()

    toolset.opening(opened)


def check_installed(client: str, *, extra: str) -> None:
    """Raise `ToolFailed` if the module isn't installed."""
    if find_spec(client) is None:
        raise ToolFailed(f"Its client isn't installed on this worker. Install agent-control-plane[{extra}] there.")

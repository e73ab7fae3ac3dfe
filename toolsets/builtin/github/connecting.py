"""Getting to GitHub."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType
from typing import TYPE_CHECKING

from toolsets import ToolContext, ToolFailed
from toolsets.builtin.github.settings import GithubSettings

if TYPE_CHECKING:
    from toolsets.builtin.github.api import Api

Context = ToolContext[GithubSettings]


class NotThere(ToolFailed):
    """GitHub says 404."""


@asynccontextmanager
async def connected(context: Context) -> "AsyncIterator[Api]":
    """GitHub, with the credentials that the settings name."""
    await asyncio.to_thread(_api)
    from toolsets.builtin.github.api import opened  # noqa: PLC0415 - see below

    async with opened(context) as api:
        yield api


async def fetched(context: Context, url: str, *, most: int) -> bytes:
    """The last `most` bytes of what GitHub keeps elsewhere."""
    from toolsets.builtin.github import api  # noqa: PLC0415 - see below

    return await api.fetched(context, url, most=most)


def _api() -> ModuleType:
    # Late: the client and its HTTP library take a third of a second to import, which few executions need.
    from toolsets.builtin.github import api  # noqa: PLC0415

    return api

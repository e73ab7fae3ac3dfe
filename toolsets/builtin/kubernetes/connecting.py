"""Getting to the cluster that the settings name."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from toolsets import ToolContext
from toolsets.builtin.kubernetes.kubeconfig import in_cluster, parse
from toolsets.builtin.kubernetes.settings import KubernetesSettings

if TYPE_CHECKING:
    from toolsets.builtin.kubernetes.cluster import Cluster


@asynccontextmanager
async def connected(context: ToolContext[KubernetesSettings]) -> "AsyncIterator[Cluster]":
    """A connection to the cluster, with the credentials that the settings name."""
    settings = context.settings
    if settings.in_cluster:
        access = in_cluster()
    else:
        access = parse(await context.secret(settings.kubeconfig), context=settings.context)
    opened = await asyncio.to_thread(_loaded)
    async with opened(access, allow_loopback=settings.allow_loopback) as cluster:
        yield cluster


def _loaded() -> "Callable[..., AbstractAsyncContextManager[Cluster]]":
    # Late: the client takes more than half a second to import, which agents that ask no cluster shouldn't wait for.
    from toolsets.builtin.kubernetes.cluster import opened  # noqa: PLC0415

    return opened

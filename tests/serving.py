"""Real HTTP servers inside a test's own event loop."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from control_plane.app import create_app
from control_plane.settings import Settings
from deployments.orchestrator import Orchestrator


@asynccontextmanager
async def serving(app: Any, *, port: int = 0, lifespan: bool = True) -> AsyncIterator[str]:
    """Serve `app` on a free port of this machine (or on `port`); its URL."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        lifespan="on" if lifespan else "off",
        log_config=None,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        await _stop(server)


async def _stop(server: uvicorn.Server) -> None:
    """As uvicorn does it, but for the tenth of a second that it always sleeps."""
    state = server.server_state
    for listening in server.servers:
        listening.close()
    for connection in list(state.connections):
        connection.shutdown()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(server.config.timeout_graceful_shutdown):
            while state.connections or state.tasks:  # noqa: ASYNC110 - uvicorn tells nobody
                await asyncio.sleep(0.002)
    for task in state.tasks:
        task.cancel()
    await server.lifespan.shutdown()


@asynccontextmanager
async def api_server(settings: Settings, orchestrator: Orchestrator, *, port: int = 0) -> AsyncIterator[str]:
    """A whole API server; its URL."""
    async with serving(create_app(settings, orchestrator=orchestrator), port=port) as url:
        yield url

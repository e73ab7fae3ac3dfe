"""Clients of the Model Context Protocol."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

LEGACY, MODERN = "legacy", "auto"


@asynccontextmanager
async def connected(
    api_url: str, environment: dict[str, Any], key: str, *, mode: Any = MODERN
) -> AsyncIterator[Client]:
    """The official client, with an API key, speaking to the agents of an environment."""
    url = f"{api_url}/api/v1/environments/{environment['id']}/mcp"
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=60, trust_env=False) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        yield client

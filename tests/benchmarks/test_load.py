import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI, Header, Response

from benchmarks.load import Load, generate
from tests.serving import serving

pytestmark = pytest.mark.integration

BODY = {"message": "Grüße"}
CONNECTIONS = 4


class Server:
    """Notes the posts it gets. It answers none until one of every connection has come."""

    def __init__(self, status: int = 201) -> None:
        self.posts: list[tuple[str, dict[str, Any]]] = []
        self.app = FastAPI()
        self.app.post("/things")(self._create)
        self._status = status
        self._all = asyncio.Barrier(CONNECTIONS)

    async def _create(self, body: dict[str, Any], response: Response, authorization: str = Header()) -> dict[str, str]:
        self.posts.append((authorization, body))
        await self._all.wait()
        response.status_code = self._status
        return {"answer": "x" * 100_000}


@asynccontextmanager
async def load_on(server: Server) -> AsyncIterator[Load]:
    async with serving(server.app, lifespan=False) as url:
        yield Load(
            urls=[f"{url}/things"],
            method="POST",
            expected=201,
            key="the-key",
            body=BODY,
            connections=CONNECTIONS,
            requests=24,
        )


async def test_all_connections_together_send_exactly_so_many_requests_with_key_and_body() -> None:
    server = Server()

    async with load_on(server) as load:
        result = await generate(load)

    assert server.posts == [("Bearer the-key", BODY)] * 24
    assert len(result.latencies) == 24
    assert 0 < min(result.latencies) <= max(result.latencies) <= result.seconds


async def test_a_refusal_ends_it_because_refusals_are_fast() -> None:
    server = Server(status=429)

    async with load_on(server) as load:
        with pytest.raises(ExceptionGroup) as failure:
            await generate(load)

    assert failure.group_contains(RuntimeError, match=r"the answer was 429")
    assert len(server.posts) == CONNECTIONS


async def test_addresses_are_asked_in_turn_at_the_rate_that_is_wanted() -> None:
    server = Server(status=200)
    asked: list[str] = []

    @server.app.get("/asked/{name}")
    async def ask(name: str, page: int = 0) -> None:
        asked.append(f"{name}{page}")

    async with load_on(server) as load:
        origin = load.urls[0].removesuffix("/things")
        result = await generate(
            load.model_copy(
                update={
                    "urls": [f"{origin}/asked/a?page=1", f"{origin}/asked/b"],
                    "method": "GET",
                    "expected": 200,
                    "body": None,
                    "requests": 6,
                    "connections": 1,
                    "rate": 20.0,
                }
            )
        )

    assert asked == ["a1", "b0", "a1", "b0", "a1", "b0"]
    assert result.seconds >= 5 / 20

"""The way to Prefect's own server when that would have us come again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from control_plane.prefect_gateway.upstream import Upstream
from control_plane.problems import Unavailable
from tests.deployments.test_busy_prefect import Answering
from tests.serving import serving

pytestmark = pytest.mark.integration


@asynccontextmanager
async def reached(server: Answering) -> AsyncIterator[Upstream]:
    async with serving(server, lifespan=False) as url:
        upstream = Upstream(url, auth_string=None)
        yield upstream
        await upstream.aclose()


async def test_a_busy_server_is_asked_again() -> None:
    server = Answering([503, 503, 503, 201])

    async with reached(server) as upstream:
        answer = await upstream.post("/logs/", b"[]")

    assert answer.status_code == 201
    assert server.asked == 4


async def test_one_that_stays_busy_is_told_of() -> None:
    server = Answering([503])

    async with reached(server) as upstream:
        with pytest.raises(Unavailable, match="Send the request again"):
            await upstream.get("/flow_runs/1")


async def test_any_other_failure_is_told_of_at_once() -> None:
    server = Answering([500])

    async with reached(server) as upstream:
        with pytest.raises(Unavailable, match="Send the request again"):
            await upstream.post("/logs/", b"[]")

    assert server.asked == 1

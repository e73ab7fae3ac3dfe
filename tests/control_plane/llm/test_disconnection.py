"""A caller that goes away takes the provider's call with it: nobody pays for an answer that nobody reads."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.control_plane.llm.upstream import Upstream

pytestmark = pytest.mark.integration

Http = Callable[[str], httpx.AsyncClient]
SECONDS = 10


@pytest.mark.parametrize("stream", [False, True])
async def test_leaving_before_the_answer_begins_stops_the_providers_call(
    http: Http, upstream: Upstream, *, stream: bool
) -> None:
    call = asyncio.create_task(http("openai/silent").post("/chat/completions", json=_body("silent", stream=stream)))
    await asyncio.wait_for(upstream.reached.wait(), SECONDS)

    call.cancel()

    await asyncio.wait_for(upstream.abandoned.wait(), SECONDS)


async def test_leaving_in_mid_stream_stops_the_providers_call(http: Http, upstream: Upstream) -> None:
    async with http("openai/stalling").stream(
        "POST", "/chat/completions", json=_body("stalling", stream=True)
    ) as answer:
        first = await anext(answer.aiter_lines())
        await asyncio.wait_for(upstream.reached.wait(), SECONDS)

    await asyncio.wait_for(upstream.abandoned.wait(), SECONDS)
    assert "Hello" in first


async def test_leaving_before_the_stream_is_read_stops_the_providers_call(http: Http, upstream: Upstream) -> None:
    request = http("openai/stalling").build_request("POST", "/chat/completions", json=_body("stalling", stream=True))

    answer = await http("openai/stalling").send(request, stream=True)
    await answer.aclose()

    await asyncio.wait_for(upstream.abandoned.wait(), SECONDS)


def _body(model: str, *, stream: bool) -> dict[str, Any]:
    return {"model": f"openai/{model}", "messages": [{"role": "user", "content": "Hello"}], "stream": stream}

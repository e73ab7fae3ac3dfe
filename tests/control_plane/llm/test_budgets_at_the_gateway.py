"""Budgets as callers meet them: over HTTP, through several API servers, with the SDKs that they use."""

import asyncio
from collections import Counter
from typing import Any

import httpx
import openai
import pytest

from control_plane.settings import Settings
from tests.orchestrator import FakeOrchestrator
from tests.serving import api_server
from tests.tenants import Tenant, created
from tests.worker import claimed

pytestmark = pytest.mark.integration

CHAT = "/llm/openai/v1/chat/completions"


def asked(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A request that has the scripted model do this."""
    content = str([*steps]).replace("'", '"')
    return {"model": "scripted/script", "messages": [{"role": "user", "content": content}]} | more


async def limit(tenant: Tenant, **limits: Any) -> str:
    """A budget of the organization; the path of its spending."""
    budget = await created(tenant.client, "/budgets", {"scope": "organization", "period": "month"} | limits)
    return f"/budgets/{budget['id']}/spending"


async def test_two_hundred_calls_at_once_through_two_servers_find_room_for_ten(
    acme: Tenant, api_url: str, settings: Settings
) -> None:
    most = 10 * 100_000 + 3_000
    spending = await limit(acme, tokens=most)
    slow = asked({"delay_seconds": 30}, {"say": "It took a while."}, max_tokens=100_000)

    async with (
        api_server(settings, FakeOrchestrator()) as other_url,
        claimed(acme, api_url) as worker,
        httpx.AsyncClient(
            headers=worker.http.headers, timeout=60, trust_env=False, limits=httpx.Limits(max_connections=200)
        ) as http,
    ):
        urls = [f"{url}/api/v1{CHAT}" for url in (api_url, other_url)] * 100
        calls = [asyncio.create_task(http.post(url, json=slow)) for url in urls]
        ended = asyncio.as_completed(calls)
        refusals = Counter([(await next(ended)).status_code for _ in range(190)])
        under_way = (await acme.client.get(spending)).json()
        [call.cancel() for call in calls if not call.done()]
        await asyncio.wait(calls)

    after = (await acme.client.get(spending)).json()
    assert refusals == {429: 190}
    assert 1_000_000 < under_way["reserved_tokens"] <= most
    assert under_way["spent_tokens"] == 0
    assert after["reserved_tokens"] == 0
    assert after["spent_tokens"] <= most


async def test_a_used_up_budget_is_told_as_openai_would_and_its_sdk_does_not_ask_again(
    acme: Tenant, api_url: str
) -> None:
    await limit(acme, tokens=10)
    sent: list[str] = []

    async def note(request: httpx.Request) -> None:
        sent.append(request.url.path)

    async with (
        claimed(acme, api_url) as worker,
        httpx.AsyncClient(event_hooks={"request": [note]}, trust_env=False) as http,
    ):
        sdk = openai.AsyncOpenAI(
            base_url=f"{api_url}/api/v1/llm/openai/v1", api_key=worker.claim["execution_token"], http_client=http
        )
        with pytest.raises(openai.APIStatusError) as caught:
            await sdk.chat.completions.create(model="scripted/script", messages=[{"role": "user", "content": "hello"}])

    assert (caught.value.status_code, caught.value.code) == (402, "budget_exceeded")
    assert "monthly budget of the organization" in caught.value.message
    assert len(sent) == 1


async def test_a_used_up_budget_is_told_as_anthropic_would(acme: Tenant, api_url: str) -> None:
    await limit(acme, tokens=10)
    body = {"model": "scripted/script", "max_tokens": 10, "messages": [{"role": "user", "content": "hello"}]}

    async with claimed(acme, api_url) as worker:
        answer = await worker.http.post("/llm/anthropic/v1/messages", json=body)

    assert answer.status_code == 402
    assert answer.json()["type"] == "error"
    assert "monthly budget of the organization" in answer.json()["error"]["message"]


async def test_a_caller_that_leaves_in_mid_stream_gives_back_what_it_does_not_use(acme: Tenant, api_url: str) -> None:
    spending = await limit(acme, tokens=1_000_000)
    endless = asked({"pace_seconds": 0.5}, {"say": "word " * 100}, max_tokens=100_000, stream=True)

    async with claimed(acme, api_url) as worker:
        async with worker.http.stream("POST", CHAT, json=endless) as answer:
            lines = answer.aiter_lines()  # kept, since the stream is closed with it
            await anext(lines)
            under_way = (await acme.client.get(spending)).json()
        after = await settled(acme, spending)

    assert under_way["reserved_tokens"] > 100_000
    assert 0 < after["spent_tokens"] < 2_000


async def test_a_stream_is_settled_before_its_last_line(acme: Tenant, api_url: str) -> None:
    spending = await limit(acme, tokens=1_000_000)

    async with (
        claimed(acme, api_url) as worker,
        worker.http.stream("POST", CHAT, json=asked({"say": "hello there"}, stream=True)) as answer,
    ):
        await anext(line async for line in answer.aiter_lines() if line == "data: [DONE]")
        after = (await acme.client.get(spending)).json()

    assert (after["spent_tokens"] > 0, after["reserved_tokens"]) == (True, 0)


async def test_an_error_of_the_model_costs_nothing(acme: Tenant, api_url: str) -> None:
    spending = await limit(acme, tokens=1_000_000)

    async with claimed(acme, api_url) as worker:
        answer = await worker.http.post(CHAT, json=asked({"error": {"status": 500, "message": "on fire"}}))

    after = (await acme.client.get(spending)).json()
    assert answer.status_code >= 500
    assert (after["spent_tokens"], after["reserved_tokens"]) == (0, 0)


async def settled(tenant: Tenant, spending: str) -> dict[str, Any]:
    """The spending once nothing is reserved any more: the server learns by itself that a caller has gone."""
    async with asyncio.timeout(10):
        while (found := (await tenant.client.get(spending)).json())["reserved_tokens"]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return found  # type: ignore[no-any-return]

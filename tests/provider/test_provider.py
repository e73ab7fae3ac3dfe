"""The provider of the tests itself: it must say what the SDKs understand, and refuse what the real ones refuse."""

import asyncio

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from tests.provider.server import KEY, Provider
from tests.provider.turns import calls, says, waits

pytestmark = pytest.mark.integration


async def test_the_script_is_given_turn_by_turn_and_then_refused(provider: Provider) -> None:
    provider.will(says("One", " more"), calls("clock_now", '{"zone": '))

    async with AsyncOpenAI(base_url=provider.openai_url, api_key=KEY, max_retries=0) as client:
        first = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello"}])
        second = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello"}])
        with pytest.raises(openai.BadRequestError, match="no further turn"):
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello"}])

    called = second.choices[0].message.tool_calls or []
    assert first.choices[0].message.content == "One more"
    assert [call.function.arguments for call in called if call.type == "function"] == ['{"zone": ']
    assert {asked.key for asked in provider.requests} == {KEY}


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/v1/messages", {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}, "max_tokens"),
        (
            "/v1/messages",
            {
                "model": "m",
                "max_tokens": 9,
                "messages": [
                    {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "x", "input": {}}]},
                    {"role": "user", "content": "Well?"},
                ],
            },
            "without `tool_result`",
        ),
        (
            "/v1/chat/completions",
            {
                "model": "m",
                "messages": [{"role": "assistant", "tool_calls": [{"id": "c"}]}, {"role": "user", "content": "Well?"}],
            },
            "must be followed by tool messages",
        ),
        (
            "/v1/responses",
            {"model": "m", "input": [{"type": "function_call", "call_id": "c"}]},
            "No tool output found",
        ),
    ],
)
async def test_what_the_real_providers_refuse_is_refused(
    provider: Provider, path: str, body: dict[str, object], reason: str
) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(provider.url + path, json=body, headers={"anthropic-version": "2023-06-01"})

    assert answer.status_code == 400
    assert reason in answer.json()["error"]["message"]


async def test_a_client_that_leaves_is_noticed(provider: Provider) -> None:
    provider.will(waits())

    async with AsyncOpenAI(base_url=provider.openai_url, api_key=KEY) as client:
        asking = asyncio.create_task(
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello"}])
        )
        await asyncio.wait_for(provider.reached.wait(), 10)
        asking.cancel()
        await asyncio.wait_for(provider.abandoned.wait(), 10)

    assert asking.cancelled()

"""A provider's models through the gateway: its answers, its failures, and that its key stays here."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from tests.control_plane.llm.upstream import UPSTREAM_KEY, Upstream

pytestmark = pytest.mark.integration

Sdk = Callable[[str], AsyncOpenAI]
Http = Callable[[str], httpx.AsyncClient]
MESSAGES: Any = [{"role": "user", "content": "Hello"}]


async def test_an_answer_is_passed_on_with_its_usage(sdk: Sdk, upstream: Upstream) -> None:
    answer = await sdk("openai/good").chat.completions.create(model="openai/good", messages=MESSAGES)

    assert answer.choices[0].message.content == "Hello from upstream"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "good"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (11, 3, 14)


async def test_a_streamed_answer_is_passed_on_word_by_word_with_its_usage_at_the_end(
    sdk: Sdk, upstream: Upstream
) -> None:
    stream = await sdk("openai/good").chat.completions.create(
        model="openai/good", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]

    words = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
    assert words == ["Hello", " from", " upstream"]
    assert {chunk.model for chunk in chunks} == {"good"}
    assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == [14]
    assert chunks[-1].usage


async def test_a_streamed_answer_has_no_usage_unless_it_is_asked_for(sdk: Sdk, upstream: Upstream) -> None:
    stream = await sdk("openai/good").chat.completions.create(model="openai/good", messages=MESSAGES, stream=True)
    chunks = [chunk async for chunk in stream]

    assert [chunk.usage for chunk in chunks if chunk.usage] == []


async def test_a_stream_ends_as_openais_does(http: Http, upstream: Upstream) -> None:
    answer = await http("openai/good").post(
        "/chat/completions", json={"model": "openai/good", "messages": MESSAGES, "stream": True}
    )

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("\n\ndata: [DONE]\n\n")


async def test_what_the_caller_may_say_reaches_the_provider(sdk: Sdk, upstream: Upstream) -> None:
    tools: Any = [{"type": "function", "function": {"name": "clock_now", "parameters": {"type": "object"}}}]

    await sdk("openai/good").chat.completions.create(
        model="openai/good", messages=MESSAGES, tools=tools, temperature=0.5, max_tokens=7, stop=["x"], seed=1
    )

    assert upstream.requests[0]["body"] == {
        "model": "good", "messages": MESSAGES, "tools": tools, "temperature": 0.5, "max_tokens": 7, "stop": ["x"],
        "seed": 1,
    }  # fmt: skip
    assert upstream.requests[0]["headers"]["authorization"] == f"Bearer {UPSTREAM_KEY}"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "status", "code", "message"),
    [
        ("openai/limited", 429, "rate_limited", "openai limits the rate of calls: Rate limit reached"),
        ("openai/broken", 503, "unavailable", "openai doesn't answer at the moment (status 500)."),
        ("openai/unknown", 404, "model_not_found", "openai has no model 'openai/unknown': "),
        ("openai/rejected", 400, "provider_key_missing", "Set OPENAI_API_KEY for the API server"),
        ("openai/indiscreet", 400, "refused", "Your request with the key [redacted] has no messages that I like"),
        ("nobody/model", 400, "provider_unknown", "LiteLLM knows no provider 'nobody'."),
    ],
)
async def test_a_failure_is_told_in_openais_shape(
    http: Http, upstream: Upstream, model: str, status: int, code: str, message: str, *, stream: bool
) -> None:
    answer = await http(model).post("/chat/completions", json={"model": model, "messages": MESSAGES, "stream": stream})

    assert answer.status_code == status
    error = answer.json()["error"]
    assert (error["code"], set(error)) == (code, {"message", "type", "code", "param"})
    assert message in error["message"]
    assert UPSTREAM_KEY not in answer.text


async def test_a_rate_limit_passes_on_when_to_come_back(sdk: Sdk, upstream: Upstream) -> None:
    with pytest.raises(openai.RateLimitError) as limited:
        await sdk("openai/limited").chat.completions.create(model="openai/limited", messages=MESSAGES)

    assert limited.value.response.headers["Retry-After"] == "7"


async def test_a_failure_is_not_tried_again_by_the_gateway(sdk: Sdk, upstream: Upstream) -> None:
    with pytest.raises(openai.InternalServerError):
        await sdk("openai/broken").chat.completions.create(model="openai/broken", messages=MESSAGES)

    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("model", "variable"), [("openai/good", "OPENAI_API_KEY"), ("anthropic/claude", "ANTHROPIC_API_KEY")]
)
async def test_a_missing_key_is_named_by_its_variable(
    sdk: Sdk, monkeypatch: pytest.MonkeyPatch, model: str, variable: str
) -> None:
    monkeypatch.delenv(variable, raising=False)

    with pytest.raises(openai.BadRequestError, match=f"Set {variable} for the API server") as refused:
        await sdk(model).chat.completions.create(model=model, messages=MESSAGES)

    assert refused.value.code == "provider_key_missing"


async def test_an_error_in_mid_stream_becomes_an_error_event(http: Http, upstream: Upstream) -> None:
    answer = await http("openai/breaking").post(
        "/chat/completions", json={"model": "openai/breaking", "messages": MESSAGES, "stream": True}
    )

    first, *_, last = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line]
    assert first["choices"][0]["delta"]["content"] == "Hello"
    assert last["error"]["code"] == "unavailable"
    assert UPSTREAM_KEY not in answer.text

"""The scripted models the way runtimes reach them: the openai SDK, real HTTP, LiteLLM."""

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from control_plane.llm.assistant import INTRODUCTION, SECONDS_A_PIECE
from control_plane.llm.turns import pieces
from tests.control_plane.llm.tools import TOOLS

pytestmark = pytest.mark.integration

Sdk = Callable[[str], AsyncOpenAI]
CLOCK = {"type": "function", "function": {"name": "clock_now"}}


async def test_the_assistant_calls_a_tool_and_then_sums_up(sdk: Sdk) -> None:
    messages: list[Any] = [{"role": "user", "content": "delete the frontend app from staging"}]

    first = await _completed(sdk, "scripted/assistant", messages, tools=TOOLS)
    call = first.choices[0].message.tool_calls[0]
    messages += [first.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": '{"result": "gone"}'}]
    second = await _completed(sdk, "scripted/assistant", messages, tools=TOOLS)

    assert (call.function.name, json.loads(call.function.arguments)) == (
        "kubernetes_delete",
        {"app": "frontend", "environment": "staging"},
    )
    assert first.choices[0].finish_reason == "tool_calls"
    assert second.choices[0].message.content == (
        f"{INTRODUCTION} This is what came of each step:\n- kubernetes_delete: gone"
    )
    assert second.choices[0].finish_reason == "stop"


async def test_the_assistant_streams_at_a_pace_that_can_be_watched(sdk: Sdk) -> None:
    begin = time.monotonic()

    words, _ = await _streamed(sdk, "scripted/assistant", "Compose a sonnet")

    assert len(words) == len(list(pieces("".join(words)))) > 20
    assert time.monotonic() - begin >= SECONDS_A_PIECE * len(words)


async def test_a_script_streams_at_the_pace_that_it_asks_for(sdk: Sdk) -> None:
    begin = time.monotonic()

    words, _ = await _streamed(sdk, "scripted/script", '[{"pace_seconds": 0.2}, {"say": "one two three"}]')

    assert words == ["one", " two", " three"]
    assert time.monotonic() - begin >= 0.6


async def test_parallel_tool_calls_and_malformed_arguments_arrive_as_they_are(sdk: Sdk) -> None:
    steps = (
        '[{"say": "Now"}, {"tools": [{"tool": "clock_now"}, {"tool": "clock_now", "raw_arguments": "{\\"zone\\": "}]}]'
    )

    answer = await _asked(sdk, "scripted/script", steps)

    message = answer.choices[0].message
    assert message.content == "Now"
    assert [call.function.arguments for call in message.tool_calls] == ["{}", '{"zone": ']
    assert len({call.id for call in message.tool_calls}) == 2


async def test_streamed_tool_calls_are_told_apart_by_their_index(sdk: Sdk) -> None:
    steps = '[{"tools": [{"tool": "clock_now"}, {"tool": "clock_now", "raw_arguments": "{\\"zone\\": "}]}]'

    _, chunks = await _streamed(sdk, "scripted/script", steps)

    calls = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or []]
    assert [(call.index, call.function.name, call.function.arguments) for call in calls] == [
        (0, "clock_now", "{}"),
        (1, "clock_now", '{"zone": '),
    ]
    assert [choice.finish_reason for choice in chunks[-1].choices] == ["tool_calls"]


async def test_whole_and_streamed_answers_count_the_same_tokens(sdk: Sdk) -> None:
    whole = await _asked(sdk, "scripted/script", '[{"say": "Hello world"}]')
    _, chunks = await _streamed(
        sdk, "scripted/script", '[{"say": "Hello world"}]', stream_options={"include_usage": True}
    )

    assert whole.usage.completion_tokens == 3
    streamed = chunks[-1].usage
    assert (streamed.prompt_tokens, streamed.completion_tokens) == (whole.usage.prompt_tokens, 3)
    assert streamed.total_tokens == whole.usage.total_tokens


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "request_", "status", "code"),
    [
        ("scripted/nobody", "Hello", 404, "model_not_found"),
        ("scripted/script", "Hello", 400, "script_invalid"),
        ("scripted/script", '[{"tool": "moon_land"}]', 400, "script_invalid"),
        ("scripted/script", '[{"error": {"status": 503, "message": "Later"}}]', 503, "scripted_error"),
        ("scripted/assistant", "x" * 20_001, 400, "request_too_long"),
    ],
)
async def test_a_refusal_keeps_its_status_and_code(
    sdk: Sdk, model: str, request_: str, status: int, code: str, *, stream: bool
) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        await _asked(sdk, model, request_, stream=stream)

    assert (refused.value.status_code, refused.value.code) == (status, code)


async def test_a_scripted_rate_limit_says_when_to_come_back(sdk: Sdk) -> None:
    with pytest.raises(openai.RateLimitError, match="Later") as refused:
        await _asked(sdk, "scripted/script", '[{"error": {"status": 429, "message": "Later"}}]')

    assert refused.value.response.headers["Retry-After"] == "1"


async def test_an_error_in_mid_stream_comes_after_the_text(http: Callable[[str], httpx.AsyncClient]) -> None:
    steps = '[{"say": "Hello world"}, {"error": {"status": 503, "message": "Later"}}]'
    body = {"model": "scripted/script", "stream": True, "messages": [{"role": "user", "content": steps}]}

    answer = await http("scripted/script").post("/chat/completions", json=body)

    assert answer.status_code == 200
    *texts, last = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line]
    assert [text["choices"][0]["delta"]["content"] for text in texts] == ["Hello", " world"]
    assert last == {"error": {"message": "Later", "type": "api_error", "code": "scripted_error", "param": None}}


async def test_the_sdk_raises_an_error_in_mid_stream(sdk: Sdk) -> None:
    with pytest.raises(openai.APIError, match="Later") as failed:
        await _streamed(sdk, "scripted/script", '[{"say": "Hello"}, {"error": {"status": 503, "message": "Later"}}]')

    assert failed.value.code == "scripted_error"


async def _completed(sdk: Sdk, model: str, messages: list[Any], **more: Any) -> Any:
    return await sdk(model).chat.completions.create(model=model, messages=messages, **more)


async def _asked(sdk: Sdk, model: str, request: str, **more: Any) -> Any:
    return await _completed(sdk, model, [{"role": "user", "content": request}], tools=[CLOCK], **more)


async def _streamed(sdk: Sdk, model: str, request: str, **more: Any) -> tuple[list[str], list[Any]]:
    chunks = [chunk async for chunk in await _asked(sdk, model, request, stream=True, **more)]
    deltas = [choice.delta.content for chunk in chunks for choice in chunk.choices]
    return [text for text in deltas if text], chunks

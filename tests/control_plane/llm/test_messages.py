"""The Anthropic dialect: as Claude Code and the SDK of Anthropic speak it, whatever provider is behind."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.control_plane.llm.streams import events_of
from tests.provider.server import KEY, Provider
from tests.provider.turns import (
    Turn,
    calls,
    fails,
    filtered,
    limited,
    overloaded,
    refuses,
    says,
    thinks,
)

pytestmark = pytest.mark.integration

Anthropic = Callable[..., httpx.AsyncClient]
ASKED: dict[str, Any] = {"max_tokens": 100, "messages": [{"role": "user", "content": "What time is it?"}]}
CLOCK = {"name": "clock_now", "description": "The time.", "input_schema": {"type": "object", "properties": {}}}


@pytest.fixture(autouse=True)
def _providers(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", provider.anthropic_url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", provider.openai_url)
    provider.accept_only(KEY)


@pytest.mark.parametrize("model", ["anthropic/claude-tests", "openai/gpt-tests"])
async def test_text_tool_calls_and_usage_come_whole_from_any_provider(
    anthropic: Anthropic, provider: Provider, model: str
) -> None:
    provider.will((says("Let me ", "look.") + calls("clock_now", {"zone": "UTC"})).using(input=100, output=7))

    answer = (await anthropic(model).post("/messages", json=ASKED | {"model": model, "tools": [CLOCK]})).json()

    assert [block["type"] for block in answer["content"]] == ["text", "tool_use"]
    assert answer["content"][0]["text"] == "Let me look."
    assert (answer["content"][1]["name"], answer["content"][1]["input"]) == ("clock_now", {"zone": "UTC"})
    assert (answer["role"], answer["stop_reason"]) == ("assistant", "tool_use")
    assert (answer["usage"]["input_tokens"], answer["usage"]["output_tokens"]) == (100, 7)
    assert provider.requests[0].tools == ["clock_now"]


@pytest.mark.parametrize("model", ["anthropic/claude-tests", "openai/gpt-tests"])
async def test_a_stream_has_anthropics_events_from_any_provider(
    anthropic: Anthropic, provider: Provider, model: str
) -> None:
    provider.will((says("Let me ", "look.") + calls("clock_now", {"zone": "UTC"})).using(input=100, output=7))

    events = await _streamed(anthropic, model, tools=[CLOCK])

    kinds = [event["type"] for event in events if event["type"] != "ping"]
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
    assert "".join(delta.get("text", "") for delta in deltas) == "Let me look."
    assert json.loads("".join(delta.get("partial_json", "") for delta in deltas)) == {"zone": "UTC"}
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    assert events[-2]["usage"]["output_tokens"] == 7


async def test_thinking_and_its_signature_pass_as_they_are(anthropic: Anthropic, provider: Provider) -> None:
    provider.will(thinks("Which zone?") + says("Noon."))

    events = await _streamed(anthropic, "anthropic/claude-tests", thinking={"type": "enabled", "budget_tokens": 1_024})

    kinds = [event["delta"]["type"] for event in events if event["type"] == "content_block_delta"]
    assert kinds == ["thinking_delta", "thinking_delta", "signature_delta", "text_delta"]
    assert provider.requests[0].body["thinking"] == {"type": "enabled", "budget_tokens": 1_024}


@pytest.mark.parametrize("model", ["anthropic/claude-tests", "openai/gpt-tests"])
async def test_parallel_calls_and_their_results_go_both_ways(
    anthropic: Anthropic, provider: Provider, model: str
) -> None:
    provider.will(calls("clock_now", {"zone": "UTC"}) + calls("clock_now", {"zone": "CET"}), says("Noon and one."))
    client = anthropic(model)
    body = ASKED | {"model": model, "tools": [CLOCK]}

    first = (await client.post("/messages", json=body)).json()
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": block["input"]["zone"]}
        for block in first["content"]
    ]
    messages = [*ASKED["messages"], {"role": "assistant", "content": first["content"]}]
    second = await client.post("/messages", json=body | {"messages": [*messages, {"role": "user", "content": results}]})

    assert [block["input"]["zone"] for block in first["content"]] == ["UTC", "CET"]
    assert second.json()["content"] == [{"type": "text", "text": "Noon and one."}]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["anthropic/claude-tests", "openai/gpt-tests"])
@pytest.mark.parametrize(
    ("turn", "status", "kind", "code", "words"),
    [
        (limited("7"), 429, "rate_limit_error", "rate_limited", "limits the rate"),
        (overloaded(), 529, "overloaded_error", "overloaded", "is overloaded"),
        (fails("broken"), 503, "api_error", "unavailable", "Try again in a while"),
        (fails("context"), 400, "invalid_request_error", "context_too_long", "Shorten it"),
        (fails("filtered"), 400, "invalid_request_error", "content_filtered", "Ask in other words"),
        (fails("key"), 400, "invalid_request_error", "provider_key_missing", "API_KEY for the API server"),
        (fails("model"), 404, "not_found_error", "model_not_found", "has no model"),
        (fails("quota"), 402, "billing_error", "quota_exhausted", "no credit left"),
    ],
)
async def test_a_failure_has_anthropics_shape_a_stable_code_and_says_what_to_do(
    anthropic: Anthropic,
    provider: Provider,
    turn: Turn,
    model: str,
    status: int,
    kind: str,
    code: str,
    words: str,
    *,
    stream: bool,
) -> None:
    provider.will(turn)

    answer = await anthropic(model).post("/messages", json=ASKED | {"model": model, "stream": stream})

    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (status, kind, code)
    assert answer.json()["type"] == "error"
    assert words in error["message"]
    assert answer.headers.get("retry-after") == ("7" if status == 429 else None)
    assert KEY not in answer.text


async def test_a_refusal_and_a_filtered_answer_end_as_anthropic_ends_them(
    anthropic: Anthropic, provider: Provider
) -> None:
    provider.will(refuses("I can't."), filtered("Half"))

    refused = await _streamed(anthropic, "anthropic/claude-tests")
    stopped = await _streamed(anthropic, "anthropic/claude-tests")

    assert [events[-2]["delta"]["stop_reason"] for events in (refused, stopped)] == ["refusal", "refusal"]


@pytest.mark.parametrize("model", ["anthropic/claude-tests", "openai/gpt-tests"])
@pytest.mark.parametrize("turn", [says("Half").cut_off(), says("Half") + fails("overloaded")])
async def test_a_stream_that_breaks_off_ends_with_an_error_event(
    anthropic: Anthropic, provider: Provider, model: str, turn: Turn
) -> None:
    provider.will(turn)

    events = await _streamed(anthropic, model)

    assert events[0]["type"] == "message_start"
    assert (events[-1]["type"], events[-1]["error"]["type"]) in {("error", "api_error"), ("error", "overloaded_error")}
    assert "message_stop" not in [event["type"] for event in events]


async def test_the_key_may_stand_where_anthropics_sdk_puts_it(anthropic_url: str, provider: Provider) -> None:
    provider.will(says("Noon."))

    async with httpx.AsyncClient(base_url=anthropic_url, trust_env=False) as client:
        answer = await client.post(
            "/messages",
            json=ASKED | {"model": "anthropic/claude-tests"},
            headers={"x-api-key": "anthropic/claude-tests"},
        )
        refused = await client.post("/messages", json=ASKED, headers={"x-api-key": "revoked"})

    assert answer.json()["content"][0]["text"] == "Noon."
    assert (refused.status_code, refused.json()["error"]["type"]) == (401, "authentication_error")


@pytest.mark.parametrize("asked", ["scripted/script", "script", "claude-haiku-4-5-20251001"])
async def test_names_that_claude_code_uses_of_its_own_mean_the_executions_model(
    anthropic: Anthropic, asked: str
) -> None:
    messages = [{"role": "user", "content": '[{"say": "Noon."}]'}]

    answer = await anthropic("scripted/script").post("/messages", json=ASKED | {"model": asked, "messages": messages})

    assert answer.json()["content"] == [{"type": "text", "text": "Noon."}]


async def test_any_other_model_is_refused(anthropic: Anthropic, provider: Provider) -> None:
    answer = await anthropic("scripted/script").post("/messages", json=ASKED | {"model": "anthropic/claude-tests"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "model_not_allowed")
    assert provider.requests == []


async def test_tokens_are_counted_by_anthropic_and_estimated_for_others(
    anthropic: Anthropic, provider: Provider
) -> None:
    counted = await anthropic("anthropic/claude-tests").post(
        "/messages/count_tokens", json=ASKED | {"model": "anthropic/claude-tests"}
    )
    estimated = await anthropic("scripted/script").post(
        "/messages/count_tokens", json=ASKED | {"model": "scripted/script"}
    )

    assert counted.json() == {"input_tokens": provider.counted}
    assert "max_tokens" not in provider.requests[0].body
    assert 10 < estimated.json()["input_tokens"] < 100


async def test_the_trial_features_that_are_asked_for_reach_anthropic_and_nothing_else_does(
    anthropic: Anthropic, provider: Provider
) -> None:
    provider.will(says("Noon."))
    headers = {"anthropic-beta": "interleaved-thinking-2025-05-14", "x-smuggled": "yes"}
    body = ASKED | {"model": "anthropic/claude-tests", "metadata": {"user_id": "me"}, "mcp_servers": []}

    await anthropic("anthropic/claude-tests").post("/messages", json=body, headers=headers)

    asked = provider.requests[0]
    assert asked.headers["anthropic-beta"] == "interleaved-thinking-2025-05-14"
    assert "x-smuggled" not in asked.headers
    assert asked.body == ASKED | {"model": "claude-tests"}


async def test_a_tool_of_anthropics_own_is_refused(anthropic: Anthropic, provider: Provider) -> None:
    tools = [{"type": "web_search_20250305", "name": "web_search"}]

    answer = await anthropic("anthropic/claude-tests").post(
        "/messages", json=ASKED | {"model": "anthropic/claude-tests", "tools": tools}
    )

    assert answer.json()["error"]["code"] == "tool_not_allowed"
    assert provider.requests == []


async def _streamed(anthropic: Anthropic, model: str, **more: Any) -> list[dict[str, Any]]:
    answer = await anthropic(model).post("/messages", json=ASKED | {"model": model, "stream": True} | more)
    assert answer.headers["content-type"].startswith("text/event-stream"), answer.text
    return events_of(answer.text)

"""OpenAI's responses, whatever provider is behind."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from tests.provider.server import KEY, Provider
from tests.provider.turns import answers, calls, fails, filtered, limited, overloaded, refuses, says, thinks

pytestmark = pytest.mark.integration

Sdk = Callable[[str], AsyncOpenAI]
Http = Callable[[str], httpx.AsyncClient]
CLOCK: Any = {"type": "function", "name": "clock_now", "parameters": {"type": "object", "properties": {}}}
MODELS = ["openai/gpt-tests", "anthropic/claude-tests"]


@pytest.fixture(autouse=True)
def _providers(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", provider.anthropic_url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", provider.openai_url)
    provider.accept_only(KEY)


@pytest.mark.parametrize("model", MODELS)
async def test_text_tool_calls_and_usage_come_whole_from_any_provider(sdk: Sdk, provider: Provider, model: str) -> None:
    provider.will((says("Let me ", "look.") + calls("clock_now", {"zone": "UTC"})).using(input=100, output=7))

    answer = await sdk(model).responses.create(model=model, input="What time is it?", tools=[CLOCK])

    called = [item for item in answer.output if item.type == "function_call"]
    assert answer.output_text == "Let me look."
    assert [(call.name, json.loads(call.arguments)) for call in called] == [("clock_now", {"zone": "UTC"})]
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (100, 7)
    assert provider.requests[0].tools == ["clock_now"]


@pytest.mark.parametrize("model", MODELS)
async def test_a_stream_has_openais_numbered_events_from_any_provider(sdk: Sdk, provider: Provider, model: str) -> None:
    provider.will((says("Let me ", "look.") + calls("clock_now", {"zone": "UTC"})).using(input=100, output=7))

    stream = await sdk(model).responses.create(model=model, input="What time is it?", tools=[CLOCK], stream=True)
    events = [event async for event in stream]

    words = [event.delta for event in events if event.type == "response.output_text.delta"]
    last = events[-1]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, last.type) == ("response.created", "response.completed")
    assert "".join(words) == "Let me look."
    assert last.type == "response.completed"
    assert [item.type for item in last.response.output] == ["message", "function_call"]
    assert last.response.usage is not None
    assert last.response.usage.output_tokens == 7


@pytest.mark.parametrize("model", [*MODELS, "scripted/script"])
async def test_the_result_of_a_call_goes_back_with_all_items_before_it(
    sdk: Sdk, provider: Provider, model: str
) -> None:
    script = '[{"tool": "clock_now", "arguments": {}}, {"say": "Noon."}]'
    provider.will(calls("clock_now"), says("Noon."))
    client = sdk(model)
    asked: list[Any] = [{"role": "user", "content": script}]

    first = await client.responses.create(model=model, input=asked, tools=[CLOCK])
    call = next(item for item in first.output if item.type == "function_call")
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "12:00"}
    second = await client.responses.create(
        model=model, input=[*asked, call.model_dump(exclude_none=True), result], tools=[CLOCK]
    )

    assert second.output_text == "Noon."


async def test_thinking_and_structured_output_pass_as_they_are(sdk: Sdk, provider: Provider) -> None:
    provider.will(thinks("Which zone?") + answers({"hour": 12}))
    text: Any = {"format": {"type": "json_schema", "name": "time", "schema": {"type": "object"}, "strict": True}}

    answer = await sdk("openai/gpt-tests").responses.create(
        model="openai/gpt-tests", input="What time is it?", text=text, reasoning={"effort": "low", "summary": "auto"}
    )

    assert [item.type for item in answer.output] == ["reasoning", "message"]
    assert json.loads(answer.output_text) == {"hour": 12}
    assert provider.requests[0].body["text"] == text
    assert provider.requests[0].body["reasoning"] == {"effort": "low", "summary": "auto"}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
async def test_a_failure_has_openais_shape_and_a_stable_code(
    http: Http, provider: Provider, model: str, *, stream: bool
) -> None:
    provider.will(limited("7"), overloaded(), fails("context"), fails("filtered"), fails("key"))
    body = {"model": model, "input": "Hello", "stream": stream}

    failures = [await http(model).post("/responses", json=body) for _ in range(5)]

    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in failures] == [
        (429, "rate_limited"),
        (503, "overloaded"),
        (400, "context_too_long"),
        (400, "content_filtered"),
        (400, "provider_key_missing"),
    ]
    assert failures[0].headers["retry-after"] == "7"
    assert KEY not in "".join(answer.text for answer in failures)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("turn", [says("Half").cut_off(), says("Half") + fails("overloaded")])
async def test_a_stream_that_breaks_off_raises_in_openais_sdk(
    sdk: Sdk, provider: Provider, model: str, turn: Any
) -> None:
    provider.will(turn)

    stream = await sdk(model).responses.create(model=model, input="Hello", stream=True)

    with pytest.raises(openai.APIError, match=r"ask again|Try again"):
        _ = [event async for event in stream]


async def test_refusals_and_what_a_filter_stopped_pass_as_they_are(sdk: Sdk, provider: Provider) -> None:
    provider.will(refuses("I can't."), filtered("Half"))
    client = sdk("openai/gpt-tests")

    refused = await client.responses.create(model="openai/gpt-tests", input="Hello")
    stopped = await client.responses.create(model="openai/gpt-tests", input="Hello")

    content = [part for item in refused.output if item.type == "message" for part in item.content]
    assert [part.refusal for part in content if part.type == "refusal"] == ["I can't."]
    assert stopped.incomplete_details is not None
    assert stopped.incomplete_details.reason == "content_filter"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"input": []}, "bad_request"),
        ({"previous_response_id": "resp_1"}, "not_supported"),
        ({"conversation": "conv_1"}, "not_supported"),
        ({"background": True}, "not_supported"),
        ({"tools": [{"type": "web_search"}]}, "tool_not_allowed"),
        ({"tools": [{"type": "mcp", "server_url": "http://127.0.0.1"}]}, "tool_not_allowed"),
        ({"tools": "all"}, "bad_request"),
    ],
)
async def test_what_would_pass_by_the_control_plane_is_refused(
    http: Http, provider: Provider, more: dict[str, Any], code: str
) -> None:
    body = {"model": "openai/gpt-tests", "input": "Hello"} | more

    answer = await http("openai/gpt-tests").post("/responses", json=body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert provider.requests == []


async def test_addresses_are_not_fetched_for_a_provider_that_would_not_do_it_itself(
    http: Http, provider: Provider
) -> None:
    picture = {"type": "input_image", "image_url": f"{provider.url}/secret.png"}
    body = {"model": "anthropic/claude-tests", "input": [{"role": "user", "content": [picture]}]}

    answer = await http("anthropic/claude-tests").post("/responses", json=body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "address_not_allowed")
    assert provider.requests == []

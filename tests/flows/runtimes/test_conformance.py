"""What every runtime does alike: real SDKs over real HTTP."""

import asyncio
import logging

import pytest

from control_plane.wire.executions import Usage
from control_plane.wire.messages import AssistantMessage, ToolCall, ToolResult, UserMessage
from control_plane.wire.plan import ModelPlan
from tests.flows.plans import Story
from tests.flows.runtimes.talk import Lamp, Talk
from tests.provider.server import Provider
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
    waits,
)

pytestmark = pytest.mark.integration

_SERVERS = ("control_plane.llm", "LiteLLM", "uvicorn", "httpx", "httpcore", "asyncio")
"""Loggers of the gateway and the provider, which run in this process in place of others."""

SCHEMA = {"type": "object", "properties": {"now": {"type": "string"}}, "required": ["now"]}


async def test_what_the_model_says_is_streamed_and_then_told_whole(
    talk: Talk, provider: Provider, story: Story
) -> None:
    provider.will(says("It is", " noon", "."))

    answer = await talk.say()

    assert answer == "It is noon."
    assert [chunk["content"] for chunk in story.of("message_chunk")] == ["It is", " noon", "."]
    [message] = story.of("message")
    assert (message["role"], message["content"]) == ("assistant", "It is noon.")
    assert {chunk["message_id"] for chunk in story.of("message_chunk")} == {message["message_id"]}


async def test_the_model_is_asked_as_the_agent_says(talk: Talk, provider: Provider) -> None:
    provider.will(says("Noon."))

    await talk.but(model=ModelPlan(name="anthropic/claude", max_tokens=99)).say("/help what is in @/etc/passwd?")

    [request] = provider.requests
    assert request.body["max_tokens"] == 99
    assert request.body["stream"] is True
    assert request.tools == ["lamp_switch"]
    assert "Be brief." in request.text
    assert "/help what is in @/etc/passwd?" in request.text
    assert "root:" not in request.text


async def test_a_tool_is_called_and_its_answer_read_by_the_model(talk: Talk, provider: Provider, lamp: Lamp) -> None:
    provider.will(says("Let me see.") + calls("lamp_switch", {"to": "on"}), says("It is on."))

    answer = await talk.say()

    assert answer == "It is on."
    assert lamp.calls == [{"to": "on"}]
    assert '{\\"result\\": \\"on\\"}' in provider.requests[1].text


async def test_what_a_turn_says_is_told_before_its_tools_run(talk: Talk, provider: Provider, story: Story) -> None:
    talk.lamp.failure = ConnectionError("the execution isn't ours any more")
    provider.will(says("Let me see.") + calls("lamp_switch", {"to": "on"}), says("Went on."))

    with pytest.raises(ConnectionError, match="isn't ours"):
        await talk.say()

    assert story.kinds == ["message_chunk", "usage", "message"]
    assert provider.left == 1


async def test_each_of_several_calls_of_one_turn_is_made(talk: Talk, provider: Provider, lamp: Lamp) -> None:
    provider.will(calls("lamp_switch", {"to": "on"}) + calls("lamp_switch", {"to": "off"}), says("Done."))

    await talk.say()

    assert sorted(call["to"] for call in lamp.calls) == ["off", "on"]
    assert talk.dialogue.usage.model_turns == 2


async def test_texts_that_look_like_values_stay_texts(talk: Talk, provider: Provider, lamp: Lamp) -> None:
    texts = ["true", "null", "None", "1"]
    provider.will(sum((calls("lamp_switch", {"to": text}) for text in texts), Turn()), says("Done."))

    await talk.say()

    assert sorted(call["to"] for call in lamp.calls) == sorted(texts)


async def test_the_model_reads_what_is_wrong_with_its_arguments_and_goes_on(
    talk: Talk, provider: Provider, lamp: Lamp, story: Story
) -> None:
    provider.will(calls("lamp_switch", "{broken"), calls("lamp_explode", {}), says("Sorry."))

    answer = await talk.say()

    assert answer == "Sorry."
    assert lamp.calls == []
    [told] = story.of("tool_completed")
    assert (told["tool_name"], told["tool_status"]) == ("lamp_switch", "failed")
    assert "JSON" in provider.requests[1].text
    assert "lamp_explode" in provider.requests[2].text


async def test_tokens_are_counted_over_all_turns(talk: Talk, provider: Provider, story: Story) -> None:
    provider.will(
        calls("lamp_switch", {"to": "on"}).using(input=100, output=7, cached=40),
        says("It is on.").using(input=120, output=3),
    )

    await talk.say()

    assert talk.dialogue.usage == Usage(input_tokens=220, output_tokens=10, model_turns=2)
    assert [(told["input_tokens"], told["model_turns"]) for told in story.of("usage")] == [(100, 1), (220, 2)]


async def test_an_agent_that_finds_no_end_is_stopped_after_its_turns(talk: Talk, provider: Provider) -> None:
    provider.will_always(calls("lamp_switch", {"to": "on"}))
    talk = talk.but(max_turns=2)

    failure = await talk.failure()

    assert failure.code == "max_turns"
    assert len(provider.requests) == 2
    assert talk.dialogue.usage.model_turns == 2


async def test_a_model_that_says_later_is_asked_again(talk: Talk, provider: Provider) -> None:
    provider.will(limited("1"), overloaded(), says("Noon."))

    answer = await talk.say()

    assert answer == "Noon."


@pytest.mark.parametrize("broken", [Turn().cut_off(), fails("overloaded")], ids=["cut", "failing"])
async def test_an_answer_that_breaks_off_fails_the_run(
    talk: Talk, provider: Provider, story: Story, broken: Turn
) -> None:
    provider.will(says("We") + waits(story.begun) + says("will") + broken, says("Went on."))

    failure = await talk.failure()

    assert failure.code in {"stream_interrupted", "model_stream_cut", "overloaded", "unavailable"}
    assert str(failure)
    assert talk.dialogue.usage.model_turns == 1


@pytest.mark.parametrize(
    ("turn", "codes", "words"),
    [
        (refuses("I won't."), {"model_refused", "content_filter"}, "Word the request"),
        (filtered("We"), {"model_refused", "content_filter"}, "Word the request"),
        (says("Too much").too_long(), {"output_limit"}, "max_tokens"),
    ],
    ids=["refused", "filtered", "too long"],
)
async def test_an_answer_that_is_none_fails_the_run(
    talk: Talk, provider: Provider, story: Story, turn: Turn, codes: set[str], words: str
) -> None:
    provider.will(turn)
    provider.will_always(waits())

    failure = await talk.failure()

    assert failure.code in codes
    assert words in str(failure)
    assert talk.dialogue.usage.model_turns == 1
    assert story.kinds[-2:] == ["usage", "message"]


@pytest.mark.parametrize(
    ("kind", "code"),
    [("context", "context_too_long"), ("model", "model_not_found"), ("key", "provider_key_missing")],
)
async def test_a_model_that_can_not_answer_fails_the_run_in_the_words_of_the_gateway(
    talk: Talk, provider: Provider, kind: str, code: str
) -> None:
    provider.will_always(fails(kind))

    failure = await talk.failure()

    assert failure.code == code
    assert str(failure).startswith("The model call failed: ")


async def test_a_run_that_is_cancelled_lets_go_of_the_model_at_once(talk: Talk, provider: Provider) -> None:
    provider.will(says("Well") + waits())
    saying = asyncio.create_task(talk.say())
    await provider.reached.wait()

    saying.cancel()

    async with asyncio.timeout(10):
        await asyncio.wait([saying])
        await provider.abandoned.wait()
    assert saying.cancelled()
    assert talk.dialogue.usage.model_turns == 1


async def test_a_conversation_goes_on_from_its_history(talk: Talk, provider: Provider) -> None:
    call = ToolCall(id="call_1", name="lamp_switch", arguments={"to": "dim"})
    history = [
        UserMessage(content="Dim it."),
        AssistantMessage(content="I will.", tool_calls=(call,)),
        ToolResult(tool_call_id="call_1", content='{"result": "dimmed"}'),
        AssistantMessage(content="Done."),
    ]
    provider.will(says("Dim."))
    talk = talk.but(history=history)

    await talk.say("How is it?")

    [request] = provider.requests
    said = ["Dim it.", "I will.", "lamp_switch", "dimmed", "Done.", "How is it?"]
    places = [request.text.index(words, request.text.index('"messages"')) for words in said]
    assert places == sorted(places)
    assert talk.dialogue.messages == [*history, UserMessage(content="How is it?"), AssistantMessage(content="Dim.")]


async def test_a_conversation_can_be_continued_from_what_it_has_become(talk: Talk, provider: Provider) -> None:
    provider.will(says("A moment.") + calls("lamp_switch", {"to": "on"}), says("On."), says("Still."))
    await talk.say("Switch it on.")
    again = talk.but(history=talk.dialogue.messages)

    answer = await again.say("And now?")

    assert answer == "Still."
    request = provider.requests[2].text
    places = [request.index(words) for words in ("Switch it on.", "A moment.", '\\"on\\"', "On.", "And now?")]
    assert places == sorted(places)


async def test_what_the_model_thinks_is_told_apart(talk: Talk, provider: Provider, story: Story) -> None:
    provider.will(thinks("Hm, noon?") + says("Noon."))

    answer = await talk.but(model=ModelPlan(name="anthropic/claude", reasoning_effort="low")).say()

    assert answer == "Noon."
    assert "".join(chunk["content"] for chunk in story.of("thinking_chunk")) == "Hm, noon?"


async def test_an_answer_that_does_not_fit_is_asked_for_once_more(talk: Talk, provider: Provider) -> None:
    provider.will(says("It is noon."), says('```json\n{"now": "noon"}\n```'))

    output = await talk.output(SCHEMA)

    assert output == {"now": "noon"}
    assert "It isn't JSON" in provider.requests[1].text
    assert "It is noon." in provider.requests[1].text
    assert talk.dialogue.usage.model_turns == 2


async def test_nothing_is_written_into_logs(
    talk: Talk,
    provider: Provider,
    lamp: Lamp,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    lamp.failure = ConnectionError("canary-error")
    provider.will(calls("lamp_switch", {"to": "canary-argument"}), says("canary-answer"))

    with pytest.raises(ConnectionError):
        await talk.but(instructions="canary-instructions").say("canary-prompt")

    out, err = capfd.readouterr()
    quiet = [record.getMessage() for record in caplog.records if not record.name.startswith(_SERVERS)]
    assert [word for word in ("canary", talk.endpoint.token) if word in "".join(quiet) + out + err] == []

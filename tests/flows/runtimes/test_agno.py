import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest
from agno.agent import Agent

from control_plane.wire.executions import Usage
from control_plane.wire.plan import ExecutionInput, Limits, ModelPlan
from flows.runtimes import agno
from flows.runtimes.agno import AgnoRuntime
from flows.runtimes.protocol import GovernedTool, ModelEndpoint, RunFailed
from tests.flows.plans import Story, plan
from tests.flows.runtimes.provider import Provider, calls, says

pytestmark = pytest.mark.integration


class Lamp:
    """A governed tool that notes what it is called with."""

    def __init__(self, answer: str | Exception = '{"result": "on"}') -> None:
        self.calls: list[dict[str, Any]] = []
        self.answer = answer
        self.tool = GovernedTool(
            name="lamp_switch",
            description="Switch the lamp.",
            parameters={"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]},
            call=self._call,
        )

    async def _call(self, arguments: Mapping[str, Any]) -> str:
        self.calls.append(dict(arguments))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_what_the_model_says_is_streamed_and_then_told_whole(
    provider: Provider, endpoint: ModelEndpoint, story: Story
) -> None:
    provider.turns = [says("It is", " noon", ".")]

    result = await AgnoRuntime().run(plan(), tools=[], endpoint=endpoint, emit=story.emit)

    assert result.response == "It is noon."
    assert [chunk["content"] for chunk in story.of("message_chunk")] == ["It is", " noon", "."]
    [message] = story.of("message")
    assert (message["role"], message["content"]) == ("assistant", "It is noon.")
    assert {chunk["message_id"] for chunk in story.of("message_chunk")} == {message["message_id"]}


async def test_the_model_is_asked_as_the_plan_says(provider: Provider, endpoint: ModelEndpoint, story: Story) -> None:
    provider.turns = [says("Noon.")]
    model = ModelPlan(name="scripted/clock", temperature=0.5, max_tokens=99)

    await AgnoRuntime().run(plan(model=model), tools=[], endpoint=endpoint, emit=story.emit)

    [request] = provider.requests
    assert (request["model"], request["temperature"], request["max_tokens"]) == ("scripted/clock", 0.5, 99)
    assert request["stream"] is True
    assert provider.messages(0, "user") == ["What time is it?"]
    assert "Be brief." in provider.messages(0, "system")[0]
    assert provider.tokens == ["Bearer execution-token"]


async def test_the_context_of_the_request_goes_to_the_system_prompt(
    provider: Provider, endpoint: ModelEndpoint, story: Story
) -> None:
    provider.turns = [says("Noon.")]
    asked = ExecutionInput(message="What time is it?", context={"site": "Zürich-7"})

    await AgnoRuntime().run(plan(input=asked), tools=[], endpoint=endpoint, emit=story.emit)

    [system] = provider.messages(0, "system")
    assert "Context of the request:" in system
    assert '"site"' in system
    assert provider.messages(0, "user") == ["What time is it?"]


async def test_a_tool_call_is_made_and_its_answer_read_by_the_model(
    provider: Provider, endpoint: ModelEndpoint, story: Story
) -> None:
    lamp = Lamp()
    provider.turns = [[calls("lamp_switch", {"on": True})], says("It is on.")]

    result = await AgnoRuntime().run(plan(), tools=[lamp.tool], endpoint=endpoint, emit=story.emit)

    assert lamp.calls == [{"on": True}]
    assert provider.messages(1, "tool") == ['{"result": "on"}']
    assert result.response == "It is on."
    assert provider.requests[0]["tools"][0]["function"] == {
        "name": "lamp_switch",
        "description": "Switch the lamp.",
        "parameters": lamp.tool.parameters,
    }


async def test_each_of_several_calls_of_one_turn_is_made(
    provider: Provider, endpoint: ModelEndpoint, story: Story
) -> None:
    lamp = Lamp()
    both = [calls("lamp_switch", {"on": True}), calls("lamp_switch", {"on": False}, index=1)]
    provider.turns = [both, says("Done.")]

    await AgnoRuntime().run(plan(), tools=[lamp.tool], endpoint=endpoint, emit=story.emit)

    assert sorted(lamp.calls, key=str) == [{"on": False}, {"on": True}]


@pytest.mark.parametrize(
    ("name", "arguments"), [("lamp_explode", {}), ("lamp_switch", "{broken"), ("lamp_switch", "[1]")]
)
async def test_a_call_that_names_no_tool_or_no_arguments_is_not_made(
    provider: Provider, endpoint: ModelEndpoint, story: Story, name: str, arguments: Any
) -> None:
    lamp = Lamp()
    provider.turns = [[calls(name, arguments)], says("Sorry.")]

    result = await AgnoRuntime().run(plan(), tools=[lamp.tool], endpoint=endpoint, emit=story.emit)

    assert lamp.calls == []
    assert result.response == "Sorry."


async def test_tokens_are_counted_over_all_turns(provider: Provider, endpoint: ModelEndpoint, story: Story) -> None:
    provider.turns = [[calls("lamp_switch", {"on": True})], says("It is on.")]

    result = await AgnoRuntime().run(plan(), tools=[Lamp().tool], endpoint=endpoint, emit=story.emit)

    assert result.usage == Usage(input_tokens=20, output_tokens=4, model_turns=2)
    assert [(told["input_tokens"], told["model_turns"]) for told in story.of("usage")] == [(10, 1), (20, 2)]


async def test_an_agent_that_finds_no_end_is_stopped_after_its_turns(
    provider: Provider, endpoint: ModelEndpoint, story: Story
) -> None:
    lamp = Lamp()
    provider.turns = [[calls("lamp_switch", {"on": True})]]

    with pytest.raises(RunFailed, match="all of its 3 model turns") as caught:
        await AgnoRuntime().run(plan(limits=Limits(max_turns=3)), tools=[lamp.tool], endpoint=endpoint, emit=story.emit)

    assert caught.value.code == "max_turns"
    assert len(provider.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 429, 500])
async def test_a_model_that_fails_fails_the_run(
    provider: Provider, endpoint: ModelEndpoint, story: Story, status: int
) -> None:
    provider.turns = [status]

    with pytest.raises(RunFailed, match=r"The model call failed: .*on fire") as caught:
        await AgnoRuntime().run(plan(), tools=[], endpoint=endpoint, emit=story.emit)

    assert caught.value.code
    assert "execution-token" not in str(caught.value)


async def test_a_model_that_says_later_is_asked_again(
    provider: Provider, endpoint: ModelEndpoint, story: Story
) -> None:
    provider.turns = [429, 503, says("Noon.")]

    result = await AgnoRuntime().run(plan(), tools=[], endpoint=endpoint, emit=story.emit)

    assert result.response == "Noon."


async def test_an_execution_that_is_lost_in_a_tool_call_ends_the_run(
    provider: Provider, endpoint: ModelEndpoint, story: Story
) -> None:
    lamp = Lamp(ConnectionError("the execution isn't ours any more"))
    provider.turns = [[calls("lamp_switch", {"on": True})], says("Went on.")]

    with pytest.raises(ConnectionError, match="isn't ours"):
        await AgnoRuntime().run(plan(), tools=[lamp.tool], endpoint=endpoint, emit=story.emit)

    assert len(provider.requests) == 1


async def test_a_run_that_breaks_off_lets_go_of_the_model_at_once(
    provider: Provider, endpoint: ModelEndpoint, story: Story
) -> None:
    story.refused = "message_chunk"
    provider.turns = [[{"content": "Well"}, {"endless": True}]]

    with pytest.raises(ConnectionError):
        await AgnoRuntime().run(plan(), tools=[], endpoint=endpoint, emit=story.emit)

    async with asyncio.timeout(10):
        await provider.abandoned.wait()


async def test_nobody_is_told_about_the_run(
    provider: Provider, endpoint: ModelEndpoint, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    agents: list[Agent] = []
    asked: list[object] = []

    def remembered(**settings: Any) -> Agent:
        asked.append(settings["telemetry"])
        agents.append(Agent(**settings))
        return agents[-1]

    monkeypatch.setattr(agno, "Agent", remembered)
    monkeypatch.setenv("AGNO_TELEMETRY", "true")
    provider.turns = [says("Noon.")]

    await AgnoRuntime().run(plan(), tools=[], endpoint=endpoint, emit=story.emit)

    assert asked == [False]
    assert [agent.telemetry for agent in agents] == [False]


async def test_neither_agno_nor_the_openai_sdk_writes_down_what_is_said(
    provider: Provider,
    endpoint: ModelEndpoint,
    story: Story,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    lamp = Lamp(ConnectionError("canary-error"))
    provider.turns = [[calls("lamp_switch", {"on": True, "note": "canary-argument"})], says("canary-answer")]
    asked = ExecutionInput(message="canary-prompt")

    with pytest.raises(ConnectionError):
        await AgnoRuntime().run(plan(input=asked), tools=[lamp.tool], endpoint=endpoint, emit=story.emit)

    out, err = capfd.readouterr()
    assert [word for word in ("canary", "execution-token") if word in caplog.text + out + err] == []

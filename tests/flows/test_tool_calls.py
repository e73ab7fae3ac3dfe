import asyncio
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from control_plane.wire.decisions import Decision, Outcome, Reason
from control_plane.wire.executions import EventReceipt, EventReport
from control_plane.wire.plan import PolicyPlan, ToolsetPlan
from flows.reporting import Reporter
from flows.runtimes.protocol import GovernedTool, RunFailed
from flows.tool_calls import ToolCalls
from tests.flows import bench
from tests.flows.bench import Judge
from tests.flows.plans import Story, plan, told
from tests.flows.prefect_api import PrefectApi
from tests.flows.workshop import ALLOWED, Open, registry
from toolsets.registry import Registry, ToolsetNotFound

pytestmark = pytest.mark.integration

REASON = Reason(policy="gentle", version=4, rule="no_hammers", reason="hammers are loud")
DENIED = Decision(outcome=Outcome.DENY, reasons=(REASON,))
WAITS = Decision(outcome=Outcome.REQUIRE_APPROVAL, reasons=(REASON,))
BENCH = plan(toolsets=[ToolsetPlan(name="bench")])


class Deaf:
    """A control plane that takes no report until it is open."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def report(self, execution_id: UUID, report: EventReport) -> EventReceipt:
        assert execution_id == UUID(int=1)
        await self.open.wait()
        return EventReceipt(sequence=report.events[-1].sequence)


@pytest.mark.parametrize(
    ("decision", "outcome", "told"), [(DENIED, "deny", "Denied: "), (WAITS, "require_approval", "a person would have")]
)
async def test_a_call_that_is_not_allowed_never_runs(
    workshop: Open, story: Story, decision: Decision, outcome: str, told: str
) -> None:
    answer = await workshop(decision).call("hammer", nail="long")

    assert bench.ran == []
    assert told in answer["error"]
    assert "hammers are loud (policy gentle v4, rule no_hammers)" in answer["error"]
    assert story.kinds == ["decision", "tool_completed"]
    assert story.of("decision")[0]["outcome"] == outcome
    assert story.of("decision")[0]["reasons"] == [REASON.model_dump()]
    assert story.of("tool_completed")[0]["tool_status"] == "denied"


async def test_an_engine_that_raises_denies(workshop: Open, story: Story) -> None:
    answer = await workshop(RuntimeError("no answer")).call("hammer", nail="long")

    assert bench.ran == []
    assert "Denied: The policy engine failed (policy gentle v4, rule engine)" in answer["error"]
    assert story.of("decision")[0]["outcome"] == "deny"


async def test_an_engine_that_raises_denies_also_where_no_policy_is_bound(workshop: Open) -> None:
    answer = await workshop(RuntimeError("no answer"), policies=[]).call("hammer", nail="long")

    assert bench.ran == []
    assert "Denied: The policy engine failed" in answer["error"]


@pytest.mark.parametrize("arguments", [{}, {"nail": 5}, {"nail": "long", "blows": "many"}, {"nail": "x", "speed": 1}])
async def test_wrong_arguments_reach_neither_policy_nor_tool(
    workshop: Open, story: Story, arguments: dict[str, Any]
) -> None:
    judge = Judge(ALLOWED)

    answer = await workshop(judge).call("hammer", **arguments)

    assert "The arguments of bench_hammer are wrong" in answer["error"]
    assert judge.asked == []
    assert bench.ran == []
    assert story.kinds == ["tool_completed"]
    assert story.of("tool_completed")[0]["tool_status"] == "failed"


async def test_policies_decide_about_exactly_what_the_tool_will_get(workshop: Open, story: Story) -> None:
    judge = Judge(ALLOWED)

    await workshop(judge).call("hammer", nail="long", blows="5")
    await workshop(judge).call("hammer", nail="short")

    assert [asked.tool.arguments for asked in judge.asked] == bench.ran
    assert bench.ran == [{"nail": "long", "blows": 5}, {"nail": "short", "blows": 3}]
    assert [told["tool_input"] for told in story.of("tool_started")] == bench.ran


async def test_policies_are_told_which_tool_it_is_and_for_whom(workshop: Open) -> None:
    judge = Judge(ALLOWED)

    await workshop(judge).call("hammer", nail="long")

    [asked] = judge.asked
    assert (asked.tool.name, asked.tool.toolset, asked.tool.effect) == ("bench_hammer", "bench", "write")
    assert asked.tool.idempotent is False
    assert judge.policies == [PolicyPlan(name="gentle", version=4, module="")]
    assert (asked.organization.name, asked.execution.requested_by) == ("acme", "user:ada")


@pytest.mark.parametrize("refused", ["decision", "tool_started"])
async def test_what_can_not_be_told_is_not_done(workshop: Open, story: Story, refused: str) -> None:
    story.refused = refused

    with pytest.raises(ConnectionError):
        await workshop().call("hammer", nail="long")

    assert bench.ran == []


async def test_a_tool_that_changes_the_world_does_not_run_before_the_control_plane_has_heard_of_it(
    prefect: PrefectApi,
) -> None:
    line = Deaf()
    async with prefect.used(), Reporter(line, UUID(int=1), fence=1) as reporter:
        asked = asyncio.Event()

        async def told() -> None:
            asked.set()
            await reporter.flush()

        calls = ToolCalls(BENCH, Judge(ALLOWED), reporter.emit, told, Path("/workspace"))
        tools = await governed(calls, registry())
        await tools["bench_count"].call({})
        reading = len(bench.ran)
        hammering = asyncio.create_task(tools["bench_hammer"].call({"nail": "long"}))
        waiting = asyncio.create_task(asked.wait())
        await asyncio.wait([hammering, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        before = len(bench.ran)
        line.open.set()
        await hammering

    assert [reading, before, len(bench.ran)] == [1, 1, 2]


async def test_a_tool_that_changes_the_world_does_not_run_when_its_execution_is_lost(
    workshop: Open, story: Story
) -> None:
    story.unheard = ConnectionError("the execution isn't ours any more")

    with pytest.raises(ConnectionError):
        await workshop().call("hammer", nail="long")

    assert bench.ran == []


async def governed(calls: ToolCalls, installed: Registry) -> dict[str, GovernedTool]:
    """The tools that a runtime gets, by name."""
    async with calls.opened(installed) as tools:
        return {tool.name: tool for tool in tools}


async def test_a_toolset_that_is_listed_twice_is_refused(story: Story) -> None:
    twice = plan(toolsets=[ToolsetPlan(name="bench"), ToolsetPlan(name="bench")])

    with pytest.raises(RunFailed, match="lists the toolset bench twice") as caught:
        await governed(ToolCalls(twice, Judge(ALLOWED), story.emit, told, Path("/workspace")), registry())

    assert caught.value.code == "duplicate_tools"


async def test_two_toolsets_with_a_tool_of_the_same_name_are_refused(story: Story) -> None:
    twins = plan(toolsets=[ToolsetPlan(name="a"), ToolsetPlan(name="a_b")])
    both = Registry([EntryPoint(name, f"tests.flows.twins:{name}", "control_plane.toolsets") for name in ("a", "a_b")])

    with pytest.raises(RunFailed, match="two tools called a_b_c: the agent has a and a_b, which both bring it"):
        await governed(ToolCalls(twins, Judge(ALLOWED), story.emit, told, Path("/workspace")), both)


async def test_every_tool_of_the_plan_is_governed(story: Story) -> None:
    calls = ToolCalls(plan(toolsets=[ToolsetPlan(name="bench")]), Judge(ALLOWED), story.emit, told, Path("/workspace"))

    tools = await governed(calls, registry())

    assert list(tools) == list(bench.bench.tools)
    assert [tool.parameters for tool in tools.values()] == [tool.parameters for tool in bench.bench.tools.values()]


async def test_a_governed_tool_has_no_other_way_to_its_function_than_call(story: Story) -> None:
    calls = ToolCalls(plan(toolsets=[ToolsetPlan(name="bench")]), Judge(ALLOWED), story.emit, told, Path("/workspace"))

    tools = await governed(calls, registry())

    tool = tools["bench_hammer"]
    assert set(GovernedTool.__slots__) == {"name", "description", "parameters", "call"}
    assert [name for name in GovernedTool.__slots__ if callable(getattr(tool, name))] == ["call"]
    assert not hasattr(tool, "__dict__")


async def test_a_toolset_that_is_missing_stops_before_anything_runs(story: Story) -> None:
    calls = ToolCalls(plan(toolsets=[ToolsetPlan(name="forge")]), Judge(ALLOWED), story.emit, told, Path("/workspace"))

    with pytest.raises(ToolsetNotFound, match="forge"):
        await governed(calls, registry())

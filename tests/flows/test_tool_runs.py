import json
import logging
from pathlib import Path
from typing import Any

import pytest

from control_plane.wire.decisions import Decision, Outcome
from control_plane.wire.plan import Limits
from flows.fitting import MAX_ERROR_BYTES
from flows.tool_calls import MAX_INPUT_CHARACTERS
from tests.flows import bench
from tests.flows.bench import SECRET, BenchSettings
from tests.flows.plans import Story
from tests.flows.prefect_api import PrefectApi
from tests.flows.workshop import Open

pytestmark = pytest.mark.integration

DENIED = Decision(outcome=Outcome.DENY)


async def test_an_allowed_call_runs_and_is_told_in_order(workshop: Open, story: Story) -> None:
    answer = await workshop().call("hammer", nail="long")

    assert answer == {"secret": SECRET}
    assert bench.ran == [{"nail": "long", "blows": 3}]
    assert story.kinds == ["decision", "tool_started", "tool_completed"]
    [decision], [started], [completed] = (story.of(kind) for kind in story.kinds)
    assert (decision["outcome"], decision["tool_name"]) == ("allow", "bench_hammer")
    assert started["tool_input"] == {"nail": "long", "blows": 3}
    assert (completed["tool_status"], completed["tool_output"]) == ("completed", {"secret": SECRET})
    assert len({part["tool_execution_id"] for part in (decision, started, completed)}) == 1


async def test_a_result_that_is_no_object_becomes_one(workshop: Open, story: Story) -> None:
    answer = await workshop().call("count")

    assert answer == {"result": 7}
    assert story.of("tool_completed")[0]["tool_output"] == {"result": 7}


async def test_a_tool_gets_its_settings_workspace_and_a_key_of_its_own(workshop: Open) -> None:
    open_workshop = workshop()

    await open_workshop.call("hammer", nail="one")
    await open_workshop.call("hammer", nail="two")

    first, second = bench.contexts
    assert (first.settings, first.workspace) == (BenchSettings(grip="loose"), Path("/workspace"))
    assert first.execution_id == open_workshop.plan.execution_id
    assert first.idempotency_key == first.tool_execution_id
    assert first.idempotency_key != second.idempotency_key
    assert open_workshop.calls.made == 2


async def test_the_same_call_of_a_repeated_execution_has_the_same_key(workshop: Open) -> None:
    await workshop().call("hammer", nail="one")
    await workshop().call("hammer", nail="one")

    assert bench.contexts[0].idempotency_key == bench.contexts[1].idempotency_key


@pytest.mark.parametrize(
    ("tool", "told"),
    [
        ("decline", "The nail is bent."),
        ("slip", "bench_slip failed unexpectedly; the worker's log says why."),
        ("hang_up", "bench_hang_up failed unexpectedly; the worker's log says why."),
        ("leave", "bench_leave failed unexpectedly; the worker's log says why."),
        ("leave_at_once", "bench_leave_at_once failed unexpectedly; the worker's log says why."),
        ("give_up", "bench_give_up failed unexpectedly; the worker's log says why."),
    ],
)
async def test_a_tool_that_fails_is_told_to_the_model_and_the_run_goes_on(
    workshop: Open, story: Story, tool: str, told: str
) -> None:
    answer = await workshop().call(tool)

    assert told in answer["error"]
    assert story.kinds == ["decision", "tool_started", "tool_completed"]
    assert story.of("tool_completed")[0]["tool_status"] == "failed"


async def test_the_text_of_a_bug_is_not_for_the_model(workshop: Open, story: Story) -> None:
    await workshop().call("slip")

    assert SECRET not in json.dumps(story.events)


@pytest.mark.parametrize("tool", ["slip", "leave", "decline"])
async def test_the_log_says_where_a_tool_failed_and_nothing_of_what_it_was_about(
    workshop: Open, caplog: pytest.LogCaptureFixture, tool: str
) -> None:
    caplog.set_level(logging.DEBUG)

    await workshop().call(tool)

    assert SECRET not in caplog.text


async def test_the_log_names_the_error_and_the_line_of_a_bug(workshop: Open, caplog: pytest.LogCaptureFixture) -> None:
    await workshop().call("slip")

    assert "the tool bench_slip has a bug\nbuiltins.ValueError\n" in caplog.text
    assert f"{bench.__file__}:" in caplog.text
    assert " in slip" in caplog.text


async def test_a_long_failure_is_told_in_part(workshop: Open, story: Story) -> None:
    answer = await workshop().call("hammer", **{"x" * MAX_ERROR_BYTES: 1})

    assert "(cut: it has " in answer["error"]
    assert len(json.dumps(story.of("tool_completed")[0])) < MAX_ERROR_BYTES + 500


@pytest.mark.parametrize("tool", ["dawdle", "dawdle_in_thread"])
async def test_a_tool_that_takes_too_long_is_given_up(workshop: Open, story: Story, tool: str) -> None:
    answer = await workshop(limits=Limits(tool_call_seconds=0.2)).call(tool)
    bench.released.set()

    assert answer["error"] == f"bench_{tool} took longer than 0.2 s. What it had begun may still take effect."
    assert story.of("tool_completed")[0]["tool_status"] == "failed"


async def test_very_long_arguments_are_told_in_part_and_passed_whole(workshop: Open, story: Story) -> None:
    nail = "x" * (MAX_INPUT_CHARACTERS + 1)

    await workshop().call("hammer", nail=nail)

    assert bench.ran == [{"nail": nail, "blows": 3}]
    assert len(json.dumps(story.of("tool_started")[0])) < MAX_INPUT_CHARACTERS + 500


@pytest.mark.parametrize(
    ("tool", "arguments", "state"),
    [
        ("hammer", {"nail": SECRET}, "Completed"),
        ("count", {}, "Completed"),
        ("decline", {}, "Failed"),
        ("slip", {}, "Failed"),
    ],
)
async def test_prefect_learns_that_a_tool_ran_and_nothing_of_what_it_said(
    workshop: Open, prefect: PrefectApi, tool: str, arguments: dict[str, Any], state: str
) -> None:
    await workshop().call(tool, **arguments)

    assert prefect.events == [(f"bench_{tool}", name) for name in ("Pending", "Running", state)]
    assert SECRET not in prefect.everything()


async def test_prefect_learns_nothing_of_a_call_that_is_denied(workshop: Open, prefect: PrefectApi) -> None:
    await workshop(DENIED).call("hammer", nail="long")

    assert prefect.events == []

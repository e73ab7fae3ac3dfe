"""What a tool can ask of its execution, and what of it is told to others."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from control_plane.client import Refused
from control_plane.wire.plan import Limits, ToolsetPlan
from flows import tool_runs
from flows.runtimes.protocol import RunFailed
from tests.flows import bench
from tests.flows.plans import Story
from tests.flows.workshop import Open
from toolsets import ToolFailed

pytestmark = pytest.mark.integration

VALUE = "canary-of-the-key"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool_runs, "FIRST_PAUSE_SECONDS", 0.001)


async def test_a_secret_reaches_the_tool_and_nobody_else(workshop: Open, story: Story) -> None:
    shop = workshop()
    shop.store.secrets = {"key": VALUE}

    answer = await shop.call("unlock")

    assert bench.opened == [VALUE]
    assert shop.store.asked == [("bench", "key")]
    assert answer == {"with": "[secret key]", "[secret key]": ["again [secret key]"]}
    assert [told["message"] for told in story.of("tool_progress")] == ["unlocking with [secret key]"]
    assert VALUE not in json.dumps(story.events)


async def test_a_secret_is_blotted_out_of_what_later_calls_find(workshop: Open, story: Story) -> None:
    shop = workshop()
    shop.store.secrets = {"key": VALUE}

    await shop.call("unlock")
    answer = await shop.call("hammer", nail="long")
    failed = await shop.call("break_key")

    assert answer == {"secret": bench.SECRET}
    assert failed == {"error": "The key [secret key] broke."}
    assert VALUE not in json.dumps(story.events)


async def test_a_secret_that_the_toolset_does_not_declare_is_not_even_asked_for(workshop: Open) -> None:
    shop = workshop()
    shop.store.secrets = {"other": VALUE}

    answer = await shop.call("unlock", secret="other")

    assert "doesn't declare the secret other" in answer["error"]
    assert shop.store.asked == []


async def test_a_call_that_is_over_gets_no_secret_any_more(workshop: Open) -> None:
    shop = workshop()
    shop.store.secrets = {"key": VALUE}

    await shop.call("doze")

    [context] = bench.contexts
    with pytest.raises(ToolFailed, match="This call is over"):
        await context.secret("key")


async def test_progress_that_comes_too_fast_is_left_out(workshop: Open, story: Story) -> None:
    await workshop().call("chatter", times=1000)

    assert [told["message"] for told in story.of("tool_progress")] == ["0 done"]
    assert story.kinds == ["decision", "tool_started", "tool_progress", "tool_completed"]
    assert story.of("tool_progress")[0]["tool_execution_id"] == story.of("tool_started")[0]["tool_execution_id"]


async def test_no_call_tells_of_progress_for_ever(
    workshop: Open, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.tool_services.PROGRESS_EVERY_SECONDS", 0)
    monkeypatch.setattr("flows.tool_services.MOST_PROGRESS", 3)

    await workshop().call("chatter", times=1000)

    assert [told["message"] for told in story.of("tool_progress")] == ["0 done", "1 done", "2 done"]


@pytest.mark.parametrize(("failures", "answer"), [(2, {"result": 3}), (3, {"error": "Busy 3."})])
async def test_a_read_that_may_succeed_in_a_moment_is_tried_again(
    workshop: Open, failures: int, answer: Mapping[str, Any]
) -> None:
    assert await workshop().call("look_again", failures=failures) == answer
    assert len(bench.ran) == 3


async def test_what_changes_the_world_is_never_tried_again(workshop: Open) -> None:
    assert await workshop().call("push_again") == {"error": "Busy."}
    assert len(bench.ran) == 1


async def test_a_tool_has_the_time_its_author_gives_it_and_no_more_than_the_plan(workshop: Open) -> None:
    by_author = await workshop().call("doze")
    by_plan = await workshop(limits=Limits(tool_call_seconds=0.1)).call("doze")

    assert "bench_doze took longer than 0.2 s." in by_author["error"]
    assert "bench_doze took longer than 0.1 s." in by_plan["error"]


async def test_a_long_output_is_kept_whole_and_told_in_part(workshop: Open, story: Story) -> None:
    shop = workshop()

    answer = await shop.call("recite", lines=10)

    [(name, content, media_type)] = shop.store.kept
    assert content == b"line\n" * 10
    assert (name.startswith("bench_recite-"), name.endswith(".txt"), media_type) == (True, True, "text/plain")
    artifact = "00000000-0000-0000-0000-00000000004d"
    note = f"… (cut: the first 20 of 50 characters; the whole is kept as artifact {artifact})"
    assert answer == {"result": "line\n" * 4 + note, "artifact_id": artifact}
    assert story.of("tool_completed")[0]["tool_output"] == answer


async def test_a_long_structure_is_kept_as_json(workshop: Open) -> None:
    shop = workshop()

    await shop.call("recite", lines=10, as_text=False)

    [(name, content, media_type)] = shop.store.kept
    assert json.loads(content) == {"lines": ["line"] * 10}
    assert (name.endswith(".json"), media_type) == (True, "application/json")


async def test_an_output_that_nobody_keeps_is_still_told_in_part(workshop: Open) -> None:
    shop = workshop()
    shop.store.refusal = Refused(status=413, code="content_too_large", detail="")

    answer = await shop.call("recite", lines=10)

    assert answer == {"result": "line\n" * 4 + "… (cut: the first 20 of 50 characters)"}


async def test_wrong_settings_stop_an_execution_before_anything_runs(workshop: Open) -> None:
    shop = workshop(toolsets=[ToolsetPlan(name="bench", settings={"grip": "canary"})])

    with pytest.raises(RunFailed, match=r"The settings of the toolset bench are wrong\. grip: ") as caught:
        await shop.call("count")

    assert caught.value.code == "toolset_settings_invalid"
    assert "canary" not in str(caught.value)

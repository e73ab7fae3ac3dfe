import io

import pytest
from rich.console import Console

from control_plane.cli.story import Story
from control_plane.rest import StreamedEvent

pytestmark = pytest.mark.unit


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def story(output: io.StringIO) -> Story:
    return Story(Console(file=output, highlight=False, soft_wrap=True))


def chunk(content: str, *, message_id: str = "m1") -> StreamedEvent:
    return StreamedEvent(1, "message_chunk", {"data": {"content": content, "message_id": message_id}})


def test_chunks_of_a_message_make_one_line_and_the_whole_message_is_not_told_again(
    story: Story, output: io.StringIO
) -> None:
    story.tell(chunk("Hello"))
    story.tell(chunk(" world"))
    story.tell(StreamedEvent(3, "usage", {"data": {"model_turns": 1}}))
    story.tell(StreamedEvent(4, "message", {"role": "assistant", "content": "Hello world", "message_id": "m1"}))

    assert output.getvalue().count("Hello world\n") == 1


def test_a_message_that_was_not_streamed_is_told_whole(story: Story, output: io.StringIO) -> None:
    story.tell(StreamedEvent(1, "message", {"role": "assistant", "content": "All at once", "message_id": "m1"}))

    assert "assistant All at once\n" in output.getvalue()


def test_a_denial_names_policy_version_rule_and_reason(story: Story, output: io.StringIO) -> None:
    reason = {"policy": "read_only", "version": 3, "rule": "not_read", "reason": "it may only read"}
    decision = {"outcome": "deny", "tool_name": "files_write", "reasons": [reason]}

    story.tell(StreamedEvent(1, "decision", {"data": decision}))

    assert "deny files_write" in output.getvalue()
    assert "it may only read (policy read_only v3, rule not_read)" in output.getvalue()


def test_a_tool_s_output_can_steer_neither_the_terminal_nor_the_markup(story: Story, output: io.StringIO) -> None:
    hostile = "\x1b[2J\x07[bold red]not ours[/]\u202e"
    data = {"tool_name": "files_read", "tool_status": "completed", "tool_output": {"result": hostile}}

    story.tell(StreamedEvent(1, "tool_completed", {"data": data}))
    story.tell(chunk(hostile))

    assert "\x1b" not in output.getvalue()
    assert "\x07" not in output.getvalue()
    assert "\u202e" not in output.getvalue()
    assert output.getvalue().count("[bold red]not ours[/]") == 2


def test_a_long_output_is_shortened(story: Story, output: io.StringIO) -> None:
    data = {"tool_name": "files_read", "tool_status": "completed", "tool_output": {"result": "x" * 10_000}}

    story.tell(StreamedEvent(1, "tool_completed", {"data": data}))

    assert len(output.getvalue()) < 500
    assert "…" in output.getvalue()


def test_the_story_remembers_the_latest_status(story: Story) -> None:
    story.tell(StreamedEvent(1, "status", {"status": "running"}))
    story.tell(StreamedEvent(2, "status", {"status": "failed"}))

    assert story.status == "failed"


def test_an_execution_without_usage_ends_with_its_error(story: Story, output: io.StringIO) -> None:
    done = {"status": "failed", "response": None, "usage": None, "error": "The worker stopped answering."}

    story.tell(StreamedEvent(1, "done", done))

    assert "error     The worker stopped answering." in output.getvalue()


def test_an_error_that_ends_the_execution_is_told_once(story: Story, output: io.StringIO) -> None:
    story.tell(StreamedEvent(1, "error", {"error": "The model call failed."}))
    story.tell(StreamedEvent(2, "done", {"status": "failed", "usage": None, "error": "The model call failed."}))

    assert output.getvalue().count("The model call failed.") == 1


def test_names_that_look_like_emoji_or_markup_are_told_as_they_are(story: Story, output: io.StringIO) -> None:
    reason = {"policy": "p", "version": 1, "rule": "\x1b[2J", "reason": "redis:key:x:1 \\\\\\"}

    story.tell(StreamedEvent(1, "decision", {"data": {"outcome": "deny", "tool_name": ":bomb:", "reasons": [reason]}}))

    assert "deny :bomb:" in output.getvalue()
    assert "redis:key:x:1 \\\\\\ (policy p v1, rule \ufffd[2J)" in output.getvalue()


def test_what_a_tool_tells_while_it_runs_is_shown(story: Story, output: io.StringIO) -> None:
    story.tell(StreamedEvent(1, "tool_progress", {"data": {"tool_name": "forge_melt", "message": "half done\x1b[2J"}}))

    assert "forge_melt: half done\ufffd[2J" in output.getvalue()


@pytest.mark.parametrize(
    "kind",
    [
        *("status", "message", "message_chunk", "decision", "tool_started", "tool_progress", "tool_completed"),
        *("error", "done"),
    ],
)
def test_an_event_that_says_nothing_ends_nothing(story: Story, kind: str) -> None:
    story.tell(StreamedEvent(1, kind, {}))

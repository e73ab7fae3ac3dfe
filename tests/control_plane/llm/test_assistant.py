import json

import pytest

from control_plane.llm.assistant import INTRODUCTION, MAX_CHARACTERS, MAX_STEPS, SECONDS_A_PIECE, assistant, steps
from control_plane.llm.turns import ScriptProblem, ToolUse, Turn
from tests.control_plane.llm.tools import TOOLS, conversation

pytestmark = pytest.mark.unit

THREE_STEPS = (
    "List the deployments in staging, then delete the frontend app from staging, then list the deployments in staging"
)
LIST = ToolUse("kubernetes_list_deployments", '{"environment":"staging"}')
DELETE = ToolUse("kubernetes_delete", '{"app":"frontend","environment":"staging"}')


@pytest.mark.parametrize(
    ("request_", "tool"),
    [
        ("Deploy the frontend app to staging", "kubernetes_deploy"),
        ("Please delete the frontend app from staging.", "kubernetes_delete"),
        ("deploying frontend to staging", "kubernetes_deploy"),
        ("Which deployments are there? List those in staging", "kubernetes_list_deployments"),
        ("List the open issues of acme/shop", "github_list_issues"),
        ('Send "hi" to "#ops"', "slack_send_message"),
        ('Read "a.txt"', "files_read"),
    ],
)
def test_the_tool_that_shares_most_words_with_the_step_is_picked(request_: str, tool: str) -> None:
    turn = assistant(conversation(request_))

    assert [use.name for use in turn.tool_uses] == [tool]


@pytest.mark.parametrize(("calls", "use"), [(0, LIST), (1, DELETE), (2, LIST)])
def test_each_turn_takes_the_next_step(calls: int, use: ToolUse) -> None:
    turn = assistant(conversation(THREE_STEPS, calls=calls))

    assert turn == Turn(tool_uses=(use,))


def test_after_the_last_step_comes_a_summary_of_the_results() -> None:
    results = [("clock_now", '{"result": "noon"}'), ("files_delete", '{"error": "Denied by no_destructive_tools."}')]

    turn = assistant(conversation("Nothing to do", results=results))

    assert turn.tool_uses == ()
    assert turn.text.splitlines() == [
        f"{INTRODUCTION} This is what came of each step:",
        "- clock_now: noon",
        "- files_delete: not done. Denied by no_destructive_tools.",
    ]


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        ("plain", "plain"),
        ('{"result": {"a": 1}}', '{"a":1}'),
        ('{"other": 1}', '{"other":1}'),
        ("[" * 5_000, "[" * 300 + "…"),
        ("9" * 5_000, "9" * 300 + "…"),
        ("x" * 301, "x" * 300 + "…"),
    ],
)
def test_a_summary_shows_what_a_tool_said_and_shortens_it(result: str, shown: str) -> None:
    turn = assistant(conversation("", results=[("tool", result)]))

    assert turn.text.splitlines()[1] == f"- tool: {shown}"


def test_a_request_that_no_tool_fits_is_answered_with_that() -> None:
    turn = assistant(conversation("Compose a sonnet"))

    assert turn.tool_uses == ()
    assert turn.text == f"{INTRODUCTION} None of the tools I was given fits this request: Compose a sonnet"


def test_without_tools_nothing_is_called() -> None:
    turn = assistant(conversation("Deploy the frontend app to staging", tools=[]))

    assert turn.tool_uses == ()


def test_a_step_that_no_tool_fits_is_passed_over() -> None:
    turn = assistant(conversation("Compose a sonnet, then delete the frontend app from staging"))

    assert turn.tool_uses == (DELETE,)


def test_quoted_words_do_not_choose_a_tool() -> None:
    turn = assistant(conversation('Send "deploy delete list deployments" to "#ops"'))

    assert [use.name for use in turn.tool_uses] == ["slack_send_message"]


def test_among_equals_the_first_by_name_is_picked_whatever_the_order_of_the_tools() -> None:
    forwards = assistant(conversation("Use kubernetes", tools=TOOLS))
    backwards = assistant(conversation("Use kubernetes", tools=TOOLS[::-1]))

    assert [use.name for use in forwards.tool_uses] == ["kubernetes_delete"]
    assert backwards == forwards


def test_a_summary_is_said_at_a_pace_that_can_be_watched() -> None:
    turn = assistant(conversation("Compose a sonnet"))

    assert turn.seconds_a_piece == SECONDS_A_PIECE


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("a, then b", ["a", "b"]),
        ("a and then b", ["a", "b"]),
        ("a  and \t then  b", ["a", "b"]),
        ("Then a; b\n\nc", ["a", "b", "c"]),
        ("Do a. Do b! Do c? Do d.", ["Do a.", "Do b!", "Do c?", "Do d."]),
        ("Read a.txt, authenticate", ["Read a.txt, authenticate"]),
        ('Write "a; then b. c" now', ['Write "a; then b. c" now']),
        ("Write `a; b` then “c; d”", ["Write `a; b`", "“c; d”"]),
        ('a\n{\n  "b": "c; d"\n}\ne', ["a", "e"]),
        ("a\n```\nb\n```\nc", ["a", "c"]),
        ("a\x010\x01", ["a0"]),
        (" \n ; ", []),
    ],
)
def test_a_request_is_split_into_steps(request_: str, expected: list[str]) -> None:
    found = steps(request_)

    assert found == expected


@pytest.mark.parametrize("request_", ["x" * (MAX_CHARACTERS + 1), "x;" * (MAX_STEPS + 1)])
def test_a_request_that_is_too_long_is_refused(request_: str) -> None:
    with pytest.raises(ScriptProblem, match="up to 20000 characters and 100 steps") as refused:
        assistant(conversation(request_))

    assert refused.value.code == "request_too_long"


@pytest.mark.parametrize("unit", ["“", " ", '"', "a", "`", "1", "x=", "path ", ",", "a.", "```", "\x01", "{"])
@pytest.mark.timeout(5)
def test_a_request_made_to_keep_the_server_busy_is_read_at_once(unit: str) -> None:
    request = "Write files " + unit * ((MAX_CHARACTERS - 20) // len(unit))

    turn = assistant(conversation(request))

    assert [use.name for use in turn.tool_uses] == ["files_write"]


def test_arguments_are_json() -> None:
    turn = assistant(conversation('Write "naïve \\ \n text" to "a.txt"'))

    assert json.loads(turn.tool_uses[0].arguments) == {"path": "a.txt", "content": "naïve \\ \n text"}

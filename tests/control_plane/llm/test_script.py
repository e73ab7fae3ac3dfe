import json
from typing import Any

import pytest

from control_plane.llm.conversation import Conversation, Function
from control_plane.llm.script import script
from control_plane.llm.turns import ScriptProblem, ToolUse, Turn

pytestmark = pytest.mark.unit

NOW = {"tool": "clock_now", "arguments": {}}
USE_NOW = ToolUse("clock_now", "{}")


def test_what_is_said_before_a_tool_call_belongs_to_its_turn() -> None:
    turns = [_turn([{"say": "One"}, {"say": "Two"}, NOW, {"say": "Three"}], number=number) for number in range(3)]

    assert turns == [Turn(text="One\nTwo", tool_uses=(USE_NOW,)), Turn(text="Three"), Turn(text="Done.")]


def test_arguments_are_sent_as_compact_json() -> None:
    turn = _turn([{"tool": "clock_now", "arguments": {"timezone": "Europe/Zürich", "a": [1]}}])

    assert turn.tool_uses == (ToolUse("clock_now", '{"timezone":"Europe/Zürich","a":[1]}'),)


def test_raw_arguments_are_sent_as_they_are() -> None:
    turn = _turn([{"tool": "clock_now", "raw_arguments": '{"timezone":'}])

    assert turn.tool_uses == (ToolUse("clock_now", '{"timezone":'),)


def test_tools_are_called_in_one_turn() -> None:
    turn = _turn([{"tools": [NOW, {"tool": "files_list"}]}])

    assert turn.tool_uses == (USE_NOW, ToolUse("files_list", "{}"))


def test_an_error_ends_its_turn_after_what_was_said() -> None:
    turn = _turn([{"say": "Hello"}, {"error": {"status": 429, "message": "Later"}}])

    assert turn.text == "Hello"
    assert turn.failure is not None
    assert (str(turn.failure), turn.failure.status, turn.failure.code) == ("Later", 429, "scripted_error")


def test_delays_add_up_within_a_turn() -> None:
    steps = [{"delay_seconds": 1}, {"say": "One"}, {"delay_seconds": 0.5}, NOW, {"say": "Two"}]

    turns = [_turn(steps, number=number) for number in range(2)]

    assert [turn.delay_seconds for turn in turns] == [1.5, 0]


def test_a_delay_alone_is_a_turn() -> None:
    turn = _turn([{"delay_seconds": 2}])

    assert turn == Turn(text="Done.", delay_seconds=2)


def test_a_script_streams_without_pauses_unless_it_asks_for_them_and_then_for_one_turn() -> None:
    steps = [NOW, {"pace_seconds": 0.05}, {"say": "One"}, NOW, {"say": "Two"}]

    turns = [_turn(steps, number=number) for number in range(3)]

    assert [turn.seconds_a_piece for turn in turns] == [0, 0.05, 0]


@pytest.mark.parametrize(
    ("steps", "seconds"),
    [
        ([{"delay_seconds": 60.5}], "60.5"),
        ([{"delay_seconds": 40}, {"say": "One"}, {"delay_seconds": 40}], "80"),
        ([{"pace_seconds": 20}, {"say": "One two three four"}], "80"),
    ],
)
def test_a_turn_that_lasts_too_long_is_refused(steps: list[Any], seconds: str) -> None:
    with pytest.raises(ScriptProblem, match=f"Turn 1 of the script lasts {seconds} s. The most is 60 s."):
        _turn(steps)


def test_a_script_may_stand_in_a_json_block_among_other_words() -> None:
    turn = script(_conversation('Follow this:\n```json  \n[{"say": "Hello"}]\n```\nThank you.'))

    assert turn == Turn(text="Hello")


def test_an_empty_script_is_done() -> None:
    turn = _turn([])

    assert turn == Turn(text="Done.")


@pytest.mark.parametrize(
    ("steps", "named"),
    [
        ([{"say": "One"}, {"shout": "Two"}, {"say": 3}], "2, 3"),
        ([{"tools": []}], "1"),
        ([{"tool": "clock_now", "argument": {}}], "1"),
        ([{"error": {"status": 200, "message": "Fine"}}], "1"),
        ([{"delay_seconds": -1}], "1"),
        ([{"pace_seconds": float("nan")}], "1"),
        ([{"delay_seconds": float("inf")}], "1"),
    ],
)
def test_steps_that_are_none_are_named_by_their_numbers(steps: list[Any], named: str) -> None:
    with pytest.raises(ScriptProblem, match=f"delay_seconds or pace_seconds: {named}\\.$"):
        _turn(steps)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ("Hello", "It isn't JSON: Expecting value at line 1, column 1."),
        ("{}", "It is JSON, but not a list."),
        ("[" * 100_000, "It is nested too deeply or holds a number that is too long."),
        ("9" * 5_000, "It is nested too deeply or holds a number that is too long."),
    ],
)
def test_what_is_no_script_is_refused_with_an_example(request_: str, reason: str) -> None:
    with pytest.raises(ScriptProblem) as refused:
        script(_conversation(request_))

    assert str(refused.value) == (
        'scripted/script expects the user message to be a JSON list of steps such as [{"tool": "clock_now",'
        f' "arguments": {{}}}}, {{"say": "Done."}}]. {reason}'
    )
    assert (refused.value.status, refused.value.code) == (400, "script_invalid")


def test_a_tool_that_is_not_offered_is_refused_before_anything_is_called() -> None:
    with pytest.raises(ScriptProblem, match=r"calls moon_land, which .* Offered are: clock_now, files_list\."):
        _turn([NOW, {"tool": "moon_land"}])


def test_a_block_that_is_never_closed_is_read_at_once() -> None:
    with pytest.raises(ScriptProblem, match="It isn't JSON"):
        script(_conversation("```json" + "\n" * 200_000))


def _conversation(request: str, *, turns: int = 0) -> Conversation:
    functions = (Function(name="clock_now"), Function(name="files_list"))
    return Conversation(request=request, functions=functions, turns=turns, calls=turns, results=())


def _turn(steps: list[Any], *, number: int = 0) -> Turn:
    return script(_conversation(json.dumps(steps), turns=number))

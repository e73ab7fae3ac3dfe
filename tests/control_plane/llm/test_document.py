"""docs/scripted-model.md says what the models do: every example in it is carried out."""

import re
from pathlib import Path

import pytest

from control_plane.llm import arguments, assistant, script
from control_plane.llm.conversation import Conversation, Function
from control_plane.llm.turns import ToolUse, Turn
from tests.control_plane.llm.tools import conversation

pytestmark = pytest.mark.unit

TEXT = (Path(__file__).parents[3] / "docs" / "scripted-model.md").read_text(encoding="utf-8")
REQUESTS = re.findall(r"^```text assistant\n(.*?)\n((?:→ .*\n)*)```$", TEXT, re.MULTILINE)
SCRIPTS = re.findall(r"^```json script\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
OFFERED = (Function(name="clock_now"), Function(name="files_list"))
"""What the document's scripts call."""


@pytest.mark.parametrize(("request_", "calls"), REQUESTS)
def test_the_assistant_makes_the_calls_of_the_document(request_: str, calls: str) -> None:
    expected = [ToolUse(*line.removeprefix("→ ").split(" ", 1)) for line in calls.splitlines()]

    turns = [assistant.assistant(conversation(request_, calls=number)) for number in range(len(expected) + 1)]

    assert [turn.tool_uses for turn in turns] == [*((use,) for use in expected), ()]


def test_the_scripts_of_the_document_do_what_it_says() -> None:
    said, called, several, raw, failing, waiting, paced = [_first_turn(text) for text in SCRIPTS]

    assert said == Turn(text="I look at the clock.\nOne moment.")
    assert called.tool_uses == (ToolUse("clock_now", '{"timezone":"Europe/Berlin"}'),)
    assert several.tool_uses == (ToolUse("clock_now", "{}"), ToolUse("files_list", '{"path":"."}'))
    assert raw.tool_uses == (ToolUse("clock_now", '{"timezone": '),)
    assert failing.failure is not None
    assert (failing.text, failing.failure.status, failing.failure.code) == ("I was about to", 503, "scripted_error")
    assert (waiting.text, waiting.delay_seconds) == ("That took a while.", 0.2)
    assert (paced.text, paced.seconds_a_piece) == ("One word after the other.", 0.05)


def test_the_document_shows_every_step_of_a_script() -> None:
    fields = {field for kind in script._SCRIPT.json_schema()["$defs"].values() for field in kind["properties"]}

    shown = "".join(SCRIPTS)

    assert [field for field in fields if f'"{field}"' not in shown] == []


def test_the_document_is_complete_enough_to_be_checked() -> None:
    assert len(REQUESTS) == TEXT.count("```text assistant") >= 8
    assert len(SCRIPTS) == TEXT.count("```json script") == 7


@pytest.mark.parametrize(
    "number",
    [
        f"{assistant.MAX_CHARACTERS:,} characters and {assistant.MAX_STEPS} steps",
        f"up to {assistant._LONGEST} characters",
        f"about {round(1 / assistant.SECONDS_A_PIECE / 10) * 10} words a second",
        f"no tool comes to {assistant.THRESHOLD:g} is passed over",
        f"may last {script.MAX_SECONDS:g} seconds",
    ],
)
def test_the_documents_numbers_are_the_codes(number: str) -> None:
    assert number in " ".join(TEXT.split())


def test_the_documents_names_for_files_are_the_codes() -> None:
    *most, last = arguments.FILE_WORDS

    assert f"Parameters called {', '.join(most)} or {last} go by all" in " ".join(TEXT.split())


def _first_turn(text: str) -> Turn:
    return script.script(Conversation(request=text, functions=OFFERED, turns=0, calls=0, results=()))

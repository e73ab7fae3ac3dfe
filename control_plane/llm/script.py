"""`scripted/script`: does exactly what the latest user message tells it to, for tests and rehearsals.

The message is a JSON list of steps, or holds one in a ```json block. People find the steps in docs/scripted-model.md.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from control_plane.llm.conversation import Conversation
from control_plane.llm.turns import ScriptProblem, ToolUse, Turn, compact

MAX_SECONDS = 60.0
"""The longest turn. A script is somebody's message: it must not hold a connection for hours."""

_BLOCK = re.compile(r"```json[^\S\n]*\n(.*?)```", re.DOTALL)
_EXAMPLE = '[{"tool": "clock_now", "arguments": {}}, {"say": "Done."}]'


class _Step(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Say(_Step):
    say: str


class _Tool(_Step):
    tool: str
    arguments: dict[str, Any] = {}
    raw_arguments: str | None = None

    def use(self) -> ToolUse:
        return ToolUse(self.tool, compact(self.arguments) if self.raw_arguments is None else self.raw_arguments)


class _Tools(_Step):
    tools: list[_Tool] = Field(min_length=1)


class _Failure(_Step):
    status: int = Field(ge=400, le=599)
    message: str


class _Error(_Step):
    error: _Failure


class _Delay(_Step):
    delay_seconds: float = Field(ge=0, allow_inf_nan=False)


class _Pace(_Step):
    pace_seconds: float = Field(ge=0, allow_inf_nan=False)


_Steps = list[_Say | _Tool | _Tools | _Error | _Delay | _Pace]
_SCRIPT: TypeAdapter[_Steps] = TypeAdapter(_Steps)


def script(conversation: Conversation) -> Turn:
    """The next turn of the script. Raises `ScriptProblem` if the script can't be read or calls what isn't offered."""
    turns = _turns(_parse(conversation.request))
    _check_length(turns)
    _check_offered(turns, {function.name for function in conversation.functions})
    return turns[conversation.turns] if conversation.turns < len(turns) else Turn(text="Done.")


def _parse(request: str) -> _Steps:
    block = _BLOCK.search(request)
    try:
        return _SCRIPT.validate_python(json.loads(block.group(1) if block else request))
    except (ValueError, RecursionError) as error:  # ValidationError and JSONDecodeError are ValueErrors
        raise ScriptProblem(
            f"scripted/script expects the user message to be a JSON list of steps such as {_EXAMPLE}. {_reason(error)}"
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"It isn't JSON: {error.msg} at line {error.lineno}, column {error.colno}."
    if not isinstance(error, ValidationError):
        return "It is nested too deeply or holds a number that is too long."
    positions = sorted({int(item["loc"][0]) + 1 for item in error.errors() if item["loc"]})
    if not positions:
        return "It is JSON, but not a list."
    named = ", ".join(str(position) for position in positions)
    return f"Counting from 1, these steps are no valid say, tool, tools, error, delay_seconds or pace_seconds: {named}."


def _turns(steps: _Steps) -> list[Turn]:
    turns: list[Turn] = []
    turn, said = Turn(), list[str]()
    for step in steps:
        match step:
            case _Say():
                said.append(step.say)
            case _Delay():
                turn = replace(turn, delay_seconds=turn.delay_seconds + step.delay_seconds)
            case _Pace():
                turn = replace(turn, seconds_a_piece=step.pace_seconds)
            case _Error():
                failure = ScriptProblem(step.error.message, status=step.error.status, code="scripted_error")
                turns.append(replace(turn, text="\n".join(said), failure=failure))
                turn, said = Turn(), []
            case _Tool() | _Tools():
                tools = step.tools if isinstance(step, _Tools) else [step]
                turns.append(replace(turn, text="\n".join(said), tool_uses=tuple(tool.use() for tool in tools)))
                turn, said = Turn(), []
    if said or turn != Turn():
        turns.append(replace(turn, text="\n".join(said) or "Done."))
    return turns


def _check_length(turns: Sequence[Turn]) -> None:
    for number, turn in enumerate(turns, start=1):
        if turn.seconds > MAX_SECONDS:
            raise ScriptProblem(f"Turn {number} of the script lasts {turn.seconds:g} s. The most is {MAX_SECONDS:g} s.")


def _check_offered(turns: Sequence[Turn], offered: set[str]) -> None:
    missing = {use.name for turn in turns for use in turn.tool_uses} - offered
    if missing:
        raise ScriptProblem(
            f"The script calls {', '.join(sorted(missing))}, which the request doesn't offer. Offered are:"
            f" {', '.join(sorted(offered)) or 'none'}."
        )

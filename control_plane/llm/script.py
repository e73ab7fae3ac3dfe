"""`scripted/script`: does exactly what the latest user message tells it to, for tests and rehearsals.

The message is a JSON list of steps, or holds one in a ```json block. People find the steps in docs/scripted-model.md.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from control_plane.llm.conversation import Conversation
from control_plane.llm.turns import ScriptProblem, ToolUse, Turn, compact

MAX_DELAY_SECONDS = 60.0
"""A script is somebody's message: it must not hold a connection for hours."""

_BLOCK = re.compile(r"```json\s*\n(.*?)```", re.DOTALL)
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
    delay_seconds: float = Field(ge=0, le=MAX_DELAY_SECONDS)


_Steps = list[_Say | _Tool | _Tools | _Error | _Delay]
_SCRIPT: TypeAdapter[_Steps] = TypeAdapter(_Steps)


def script(conversation: Conversation) -> Turn:
    """The next turn of the script. Raises `ScriptProblem` if the script can't be read or calls what isn't offered."""
    turns = _turns(_parse(conversation.request))
    _check_offered(turns, {function.name for function in conversation.functions})
    return turns[conversation.turns] if conversation.turns < len(turns) else Turn(text="Done.")


def _parse(request: str) -> _Steps:
    block = _BLOCK.search(request)
    try:
        return _SCRIPT.validate_python(json.loads(block.group(1) if block else request))
    except (json.JSONDecodeError, ValidationError) as error:
        raise ScriptProblem(
            f"scripted/script expects the user message to be a JSON list of steps such as {_EXAMPLE}. {_reason(error)}"
        ) from error


def _reason(error: json.JSONDecodeError | ValidationError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"It isn't JSON: {error.msg} at line {error.lineno}, column {error.colno}."
    positions = sorted({int(item["loc"][0]) + 1 for item in error.errors() if item["loc"]})
    if not positions:
        return "It is JSON, but not a list."
    named = ", ".join(str(position) for position in positions)
    return f"Counting from 1, these steps are no valid say, tool, tools, error or delay_seconds: {named}."


def _turns(steps: _Steps) -> list[Turn]:
    turns: list[Turn] = []
    said: list[str] = []
    delay = 0.0
    for step in steps:
        match step:
            case _Say():
                said.append(step.say)
                continue
            case _Delay():
                delay += step.delay_seconds
                continue
            case _Error():
                failure = ScriptProblem(step.error.message, status=step.error.status, code="scripted_error")
                turns.append(Turn(text="\n".join(said), delay_seconds=delay, failure=failure))
            case _Tool() | _Tools():
                uses = tuple(tool.use() for tool in (step.tools if isinstance(step, _Tools) else [step]))
                turns.append(Turn(text="\n".join(said), tool_uses=uses, delay_seconds=delay))
        said, delay = [], 0.0
    if said or delay:
        turns.append(Turn(text="\n".join(said) or "Done.", delay_seconds=delay))
    return turns


def _check_offered(turns: Sequence[Turn], offered: set[str]) -> None:
    missing = {use.name for turn in turns for use in turn.tool_uses} - offered
    if missing:
        raise ScriptProblem(
            f"The script calls {', '.join(sorted(missing))}, which the request doesn't offer. Offered are:"
            f" {', '.join(sorted(offered)) or 'none'}."
        )

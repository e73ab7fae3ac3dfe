"""`scripted/script`: does exactly what the latest user message tells it to, for tests and rehearsals.

The message is a JSON list (or holds one in a ```json block). Each entry is one of
`{"say": text}`, `{"tool": name, "arguments": {…}}` (or `"raw_arguments": text`, which may be malformed),
`{"tools": [tool, tool, …]}` for parallel calls, `{"error": {"status": 429, "message": text}}` and
`{"delay_seconds": number}`. Text goes out with the tool call that follows it, as one turn.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from control_plane.llm.turns import Conversation, ScriptProblem, ToolUse, Turn, compact

MAX_DELAY_SECONDS = 60.0
_BLOCK = re.compile(r"```json\s*\n(.*?)```", re.DOTALL)


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Say(_Entry):
    say: str


class _Tool(_Entry):
    tool: str
    arguments: dict[str, Any] = {}
    raw_arguments: str | None = None

    def use(self) -> ToolUse:
        return ToolUse(self.tool, compact(self.arguments) if self.raw_arguments is None else self.raw_arguments)


class _Tools(_Entry):
    tools: list[_Tool] = Field(min_length=1)


class _Failure(BaseModel):
    status: int = Field(ge=400, le=599)
    message: str


class _Error(_Entry):
    error: _Failure


class _Delay(_Entry):
    delay_seconds: float = Field(ge=0, le=MAX_DELAY_SECONDS)


_SCRIPT: TypeAdapter[list[_Say | _Tool | _Tools | _Error | _Delay]] = TypeAdapter(
    list[_Say | _Tool | _Tools | _Error | _Delay]
)


def script(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> Turn:
    """The next turn of the script. Raises `ScriptProblem` if the script is bad or says so."""
    conversation = Conversation.of(messages)
    turns = _turns(_parse(conversation.request), offered={tool["function"]["name"] for tool in tools})
    if conversation.turns >= len(turns):
        return Turn(text="Done.")
    turn = turns[conversation.turns]
    if isinstance(turn, _Failure):
        raise ScriptProblem(turn.message, status=turn.status)
    return turn


def _parse(request: str) -> list[_Say | _Tool | _Tools | _Error | _Delay]:
    block = _BLOCK.search(request)
    text = block.group(1) if block else request.split("\n\nContext of the request:", 1)[0]
    try:
        return _SCRIPT.validate_python(json.loads(text))
    except (json.JSONDecodeError, ValidationError) as error:
        raise ScriptProblem(
            "scripted/script expects the user message to be a JSON list of steps such as"
            f' [{{"tool": "clock_now", "arguments": {{}}}}, {{"say": "Done."}}]. {_reason(error)}'
        ) from error


def _reason(error: json.JSONDecodeError | ValidationError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"It isn't JSON: {error.msg} at line {error.lineno}, column {error.colno}."
    positions = sorted({str(item["loc"][0]) for item in error.errors() if item["loc"]})
    return f"These entries are none of say, tool, tools, error and delay_seconds: {', '.join(positions) or 'all'}."


def _turns(entries: list[_Say | _Tool | _Tools | _Error | _Delay], *, offered: set[str]) -> list[Turn | _Failure]:
    turns: list[Turn | _Failure] = []
    said: list[str] = []
    delay = 0.0
    for entry in entries:
        match entry:
            case _Say():
                said.append(entry.say)
            case _Delay():
                delay += entry.delay_seconds
            case _Error():
                turns.append(entry.error)
                said, delay = [], 0.0
            case _Tool() | _Tools():
                uses = tuple(tool.use() for tool in (entry.tools if isinstance(entry, _Tools) else [entry]))
                turns.append(Turn(text="\n".join(said), tool_uses=uses, delay_seconds=delay))
                said, delay = [], 0.0
    if said or delay or not turns:
        turns.append(Turn(text="\n".join(said) or "Done.", delay_seconds=delay))
    missing = {use.name for turn in turns if isinstance(turn, Turn) for use in turn.tool_uses} - offered
    if missing:
        raise ScriptProblem(
            f"The script calls {', '.join(sorted(missing))}, which the request doesn't offer. Offered are:"
            f" {', '.join(sorted(offered)) or 'none'}."
        )
    return turns

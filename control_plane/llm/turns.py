"""What a scripted model says in one turn, and how its words become pieces and tokens."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


class ScriptProblem(Exception):
    """A scripted model refuses: it can't read what it was sent, or was told to fail.

    `status` is the HTTP status it answers with, `code` the error's stable name.
    """

    def __init__(self, message: str, *, status: int = 400, code: str = "script_invalid") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One tool call. `arguments` is JSON text, as models send it: it may be malformed."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer of a model: text, then tool calls or a failure. `delay_seconds` pass before all of it.

    Streamed, the text comes piece by piece with `seconds_a_piece` behind each.
    """

    text: str = ""
    tool_uses: tuple[ToolUse, ...] = ()
    delay_seconds: float = 0.0
    seconds_a_piece: float = 0.0
    failure: ScriptProblem | None = None

    @property
    def seconds(self) -> float:
        """How long the turn takes when it is streamed."""
        paced = self.seconds_a_piece * sum(1 for _ in pieces(self.text)) if self.seconds_a_piece else 0.0
        return self.delay_seconds + paced


def pieces(text: str) -> Iterator[str]:
    """The text word by word, each with the white space before it, as a model would stream it."""
    word = ""
    for character in text:
        if word and character.isspace() and not word[-1].isspace():
            yield word
            word = ""
        word += character
    if word:
        yield word


def count_tokens(text: str) -> int:
    """A stand-in for a tokenizer that always counts alike: one token for every four characters, rounded up."""
    return -(-len(text) // 4)


def compact(value: Any) -> str:
    """JSON without white space, keys in the order given."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

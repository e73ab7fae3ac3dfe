"""What a model says in one turn, and how the scripted models read a conversation in OpenAI's chat format."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class ScriptProblem(Exception):
    """The scripted model is told to fail, or its script can't be read. `status` is the HTTP status it answers with."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One tool call. `arguments` is JSON text, as models send it: it may be malformed."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer of a model: text, then tool calls. `delay_seconds` passes before the first token."""

    text: str = ""
    tool_uses: tuple[ToolUse, ...] = ()
    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Conversation:
    """The part of a request's messages that counts: the latest user message and what came after it."""

    request: str
    tool_uses: tuple[ToolUse, ...]
    results: tuple[tuple[str, str], ...]
    turns: int

    @classmethod
    def of(cls, messages: Sequence[Mapping[str, Any]]) -> "Conversation":
        """Read the messages of a chat completion request. Without a user message the request is empty."""
        position = max((i for i, message in enumerate(messages) if message.get("role") == "user"), default=-1)
        answers = [message for message in messages[position + 1 :] if message.get("role") == "assistant"]
        called = [call for answer in answers for call in answer.get("tool_calls") or []]
        names = {call["id"]: call["function"]["name"] for call in called}
        results = [
            (names.get(message.get("tool_call_id"), "tool"), text_of(message))
            for message in messages[position + 1 :]
            if message.get("role") == "tool"
        ]
        return cls(
            request=text_of(messages[position]) if position >= 0 else "",
            tool_uses=tuple(ToolUse(c["function"]["name"], c["function"].get("arguments") or "{}") for c in called),
            results=tuple(results),
            turns=len(answers),
        )


def text_of(message: Mapping[str, Any]) -> str:
    """The text of a message whose content is a string or a list of parts."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content if part.get("type") == "text")


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

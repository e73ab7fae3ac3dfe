"""`scripted/assistant`: a stand-in for a language model that picks tools by simple, fixed rules.

It splits the latest user message into steps and looks for the offered tool whose name and description share most words
with each step. It keeps nothing between turns: how far it has come is read from the conversation. People find the rules
in docs/scripted-model.md.
"""

import json
import re
from collections.abc import Sequence

from control_plane.llm.arguments import arguments
from control_plane.llm.conversation import Conversation, Function
from control_plane.llm.quotes import put_back, set_aside
from control_plane.llm.turns import ScriptProblem, ToolUse, Turn, compact

INTRODUCTION = "I am the built-in scripted model, not a language model: I pick tools by simple rules."

SECONDS_A_PIECE = 0.012
"""Some 80 words a second, as a fast hosted model: a person sees the words come and a short answer is there at once."""

THRESHOLD = 1.0
"""A step that shares less with every tool asks for none of them."""

MAX_CHARACTERS = 20_000
MAX_STEPS = 100
"""The rules are for what people write. Longer requests would only keep the server busy."""

_LONGEST = 300
"""How many characters of a request or a result the summary repeats."""

_STEP_ENDS = re.compile(r"(?:,\s?)?(?:\band\s)?\bthen\b|;|\n|(?<=[.!?])\s", re.IGNORECASE)
_JSON_BLOCK = re.compile(r"^\{\n(?:(?!\{$).*\n)*?\}$|```[\s\S]*?```", re.MULTILINE)
_IDLE_WORDS = frozenset(
    ("a", "an", "and", "at", "by", "for", "from", "in", "into", "is", "it", "its", "me", "my", "of", "on", "or")
) | {"please", "that", "the", "this", "to", "with", "you"}


def assistant(conversation: Conversation) -> Turn:
    """The next turn: the tool call for the next step, or the closing summary. Raises `ScriptProblem`."""
    choices = [_Choice(function) for function in sorted(conversation.functions, key=lambda function: function.name)]
    chosen = [(step, function) for step in steps(conversation.request) if (function := _best(step, choices))]
    if conversation.calls < len(chosen):
        step, function = chosen[conversation.calls]
        return Turn(tool_uses=(ToolUse(function.name, compact(arguments(step, function))),))
    return Turn(text=_summary(conversation), seconds_a_piece=SECONDS_A_PIECE)


def steps(request: str) -> list[str]:
    """The request in pieces that each ask for one thing. Quoted text is never split; JSON blocks are left out.

    Raises `ScriptProblem` if the request is too long.
    """
    text, quotations = set_aside(_JSON_BLOCK.sub("", request))
    parts = [put_back(part, quotations).strip() for part in _STEP_ENDS.split(re.sub(r"[^\S\n]+", " ", text))]
    found = [part for part in parts if part]
    if len(request) > MAX_CHARACTERS or len(found) > MAX_STEPS:
        raise ScriptProblem(
            f"scripted/assistant reads requests of up to {MAX_CHARACTERS} characters and {MAX_STEPS} steps; this one"
            f" has {len(request)} and {len(found)}.",
            code="request_too_long",
        )
    return found


class _Choice:
    """A tool with the words that speak for it."""

    def __init__(self, function: Function) -> None:
        toolset, _, verb = function.name.partition("_")
        self.function = function
        self._verb, self._toolset, self._description = map(_words, (verb, toolset, function.description or ""))

    def score(self, words: set[str]) -> float:
        return 3.0 * len(words & self._verb) + len(words & self._toolset) + 0.5 * len(words & self._description)


def _best(step: str, choices: Sequence[_Choice]) -> Function | None:
    """The tool that fits a step best, the first by name among equals, or None if none fits."""
    words = _words(set_aside(step)[0])
    best = max(choices, key=lambda choice: choice.score(words), default=None)
    return best.function if best and best.score(words) >= THRESHOLD else None


def _words(text: str) -> set[str]:
    found = re.findall(r"[a-z]+", text.lower().replace("_", " "))
    return {_stem(word) for word in found if word not in _IDLE_WORDS}


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def _summary(conversation: Conversation) -> str:
    if not conversation.results:
        return f"{INTRODUCTION} None of the tools I was given fits this request: {_cut(conversation.request.strip())}"
    lines = [f"- {name}: {_shortened(result)}" for name, result in conversation.results]
    return "\n".join([f"{INTRODUCTION} This is what came of each step:", *lines])


def _shortened(result: str) -> str:
    try:
        parsed = json.loads(result)
    except (ValueError, RecursionError):
        parsed = result
    if isinstance(parsed, dict) and set(parsed) == {"error"}:
        text = f"not done. {parsed['error']}"
    elif isinstance(parsed, dict) and set(parsed) == {"result"}:
        text = parsed["result"] if isinstance(parsed["result"], str) else compact(parsed["result"])
    else:
        text = parsed if isinstance(parsed, str) else compact(parsed)
    return _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"

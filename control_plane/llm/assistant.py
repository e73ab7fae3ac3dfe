"""`scripted/assistant`: a stand-in for a language model that picks tools by simple, fixed rules.

It splits the latest user message into steps and looks for the offered tool whose name and description share most words
with each step. It keeps nothing between turns: how far it has come is read from the conversation. People find the rules
in docs/scripted-model.md.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from control_plane.llm.conversation import Conversation, Function
from control_plane.llm.turns import ToolUse, Turn, compact

INTRODUCTION = "I am the built-in scripted model, not a language model: I pick tools by simple rules."
THRESHOLD = 1.0
_LONGEST_RESULT = 300

_QUOTED = re.compile(r'"([^"]*)"|`([^`]*)`|“([^”]*)”')
_MASK = re.compile(r"\x01(\d+)\x01")
_STEP_ENDS = re.compile(r"\s*(?:,\s*)?(?:\band\s+)?\bthen\b\s*|\s*;\s*|\s*\n+\s*|(?<=[.!?])\s+", re.IGNORECASE)
_JSON_BLOCK = re.compile(r"^\{\n.*?^\}$|```.*?```", re.MULTILINE | re.DOTALL)
_PAIR = re.compile(r'\b(\w+)=("[^"]*"|`[^`]*`|\S+)')
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])")
_FILE_NAME = re.compile(r"\S*\w[./]\w\S*")
_IDLE_WORDS = frozenset(
    ("a", "an", "and", "at", "by", "for", "from", "in", "into", "is", "it", "its", "me", "my", "of", "on", "or")
) | {"please", "that", "the", "this", "to", "with", "you"}


def assistant(conversation: Conversation) -> Turn:
    """The next turn: the tool call for the next step, or the closing summary."""
    calls = [call for step in steps(conversation.request) if (call := tool_use(step, conversation.functions))]
    if conversation.calls < len(calls):
        return Turn(tool_uses=(calls[conversation.calls],))
    return Turn(text=_summary(conversation))


def steps(request: str) -> list[str]:
    """The request in pieces that each ask for one thing. Quoted text is never split; JSON blocks are left out."""
    quotes: list[str] = []

    def mask(found: re.Match[str]) -> str:
        quotes.append(found.group(0))
        return f"\x01{len(quotes) - 1}\x01"

    masked = _QUOTED.sub(mask, _JSON_BLOCK.sub("", request.replace("\x01", "")))
    parts = (_MASK.sub(lambda found: quotes[int(found.group(1))], part) for part in _STEP_ENDS.split(masked))
    return [part.strip() for part in parts if part.strip()]


def tool_use(step: str, functions: Sequence[Function]) -> ToolUse | None:
    """The tool that fits a step best, with its arguments, or None if none fits."""
    words = _words(_QUOTED.sub(" ", step))
    scored = sorted(((_score(words, function), function) for function in functions), key=lambda s: (-s[0], s[1].name))
    if not scored or scored[0][0] < THRESHOLD:
        return None
    best = scored[0][1]
    return ToolUse(best.name, compact(_arguments(step, best)))


def _score(words: set[str], function: Function) -> float:
    toolset, _, verb = function.name.partition("_")
    description = _words(function.description or "")
    return 3.0 * len(words & _words(verb)) + len(words & _words(toolset)) + 0.5 * len(words & description)


def _words(text: str) -> set[str]:
    found = re.findall(r"[a-z]+", text.lower().replace("_", " "))
    return {_stem(word) for word in found if word not in _IDLE_WORDS}


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def _arguments(step: str, function: Function) -> dict[str, Any]:
    properties = function.properties
    given = _given(step, properties)
    quoted = [next(group for group in found.groups() if group is not None) for found in _QUOTED.finditer(step)]
    for name in properties:
        hinted = re.search(rf'\b{name}\b[^"`“]{{0,20}}["`“]([^"`”]*)["`”]', step, re.IGNORECASE)
        if name not in given and hinted and hinted.group(1) in quoted and _is(properties[name], "string"):
            given[name] = hinted.group(1)
    left = [text for text in quoted if text not in given.values()]
    numbers = _NUMBER.findall(_QUOTED.sub(" ", step))
    for name in properties:
        if name in function.required and name not in given:
            given[name] = _guess(step, properties[name], left, numbers)
    return {name: given[name] for name in properties if name in given}


def _given(step: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that are spelled out: as a JSON object or as `name=value`."""
    given: dict[str, Any] = {}
    if (start := step.find("{")) >= 0:
        try:
            parsed, _ = json.JSONDecoder().raw_decode(step[start:])
        except json.JSONDecodeError:
            parsed = {}
        given |= {name: value for name, value in parsed.items() if name in properties}
    for name, value in _PAIR.findall(step):
        if name in properties and name not in given:
            plain = value.strip('"`').rstrip(",.")
            given[name] = _typed(plain, properties[name])
    return given


def _guess(step: str, schema: Mapping[str, Any], quoted: list[str], numbers: list[str]) -> Any:
    if "enum" in schema:
        options: list[Any] = schema["enum"]
        return next((option for option in options if str(option).lower() in step.lower()), options[0])
    if _is(schema, "integer") or _is(schema, "number"):
        return _typed(numbers.pop(0) if numbers else "0", schema)
    if _is(schema, "boolean"):
        return True
    if quoted:
        return quoted.pop(0)
    file_name = _FILE_NAME.search(step)
    return file_name.group(0).rstrip(",.") if file_name else step


def _is(schema: Mapping[str, Any], kind: str) -> bool:
    kinds = [schema.get("type"), *(option.get("type") for option in schema.get("anyOf") or [])]
    return kind in kinds


def _typed(text: str, schema: Mapping[str, Any]) -> Any:
    if _is(schema, "integer") and re.fullmatch(r"-?\d+", text):
        return int(text)
    if _is(schema, "number") and _NUMBER.fullmatch(text):
        return float(text)
    if _is(schema, "boolean") and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    return text


def _summary(conversation: Conversation) -> str:
    if not conversation.results:
        return f"{INTRODUCTION} None of the tools I was given fits this request: {conversation.request.strip()}"
    lines = [f"- {name}: {_shortened(result)}" for name, result in conversation.results]
    return "\n".join([f"{INTRODUCTION} This is what came of each step:", *lines])


def _shortened(result: str) -> str:
    try:
        parsed = json.loads(result)
    except json.JSONDecodeError:
        parsed = result
    if isinstance(parsed, dict) and set(parsed) == {"error"}:
        text = f"not done. {parsed['error']}"
    elif isinstance(parsed, dict) and set(parsed) == {"result"}:
        text = parsed["result"] if isinstance(parsed["result"], str) else compact(parsed["result"])
    else:
        text = parsed if isinstance(parsed, str) else compact(parsed)
    return text if len(text) <= _LONGEST_RESULT else text[:_LONGEST_RESULT] + "…"

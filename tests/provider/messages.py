"""Anthropic's messages: a turn as a whole answer and as a stream, and what Anthropic refuses."""

import json
from collections.abc import Iterator
from typing import Any

from tests.provider import failures
from tests.provider.frames import Frame, event, halves
from tests.provider.turns import Call, Text, Thinking, Turn, Wait

_REASONS = {"stop": "end_turn", "refusal": "refusal", "length": "max_tokens", "filter": "refusal"}
SIGNATURE = "c2lnbmVkIGJ5IHRoZSB0ZXN0cw=="


def fault(body: dict[str, Any]) -> str | None:
    """Why Anthropic would answer 400."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return "messages: at least one message is required"
    if not isinstance(body.get("max_tokens"), int):
        return "max_tokens: Field required"
    waiting: set[str] = set()
    for number, message in enumerate(messages):
        if message["role"] not in {"user", "assistant"}:
            return f"messages.{number}.role: Input should be 'user' or 'assistant'"
        answered = {block["tool_use_id"] for block in _blocks(message) if block["type"] == "tool_result"}
        if missing := waiting - answered:
            return f"`tool_use` ids were found without `tool_result` blocks immediately after: {sorted(missing)}"
        if answered - waiting:
            return f"messages.{number}: unexpected `tool_use_id` found in `tool_result` blocks"
        waiting = {block["id"] for block in _blocks(message) if block["type"] == "tool_use"}
    return None


def _blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    return message["content"] if isinstance(message["content"], list) else []


def whole(turn: Turn, body: dict[str, Any], *, number: int) -> dict[str, Any]:
    """The answer at once."""
    content: list[dict[str, Any]] = []
    for part in turn.parts:
        match part:
            case Text():
                content.append({"type": "text", "text": part.text})
            case Thinking():
                content.append({"type": "thinking", "thinking": part.text, "signature": SIGNATURE})
            case Call():
                content.append(_tool_use(part, number, len(content), _parsed(part.arguments)))
    return _message(body, number) | {"content": content, "stop_reason": _reason(turn), "usage": _usage(turn)}


def stream(turn: Turn, body: dict[str, Any], *, number: int) -> Iterator[Frame]:
    """The answer event by event."""
    usage = _usage(turn) | {"output_tokens": 1}
    yield event({"type": "message_start", "message": _message(body, number) | {"content": [], "usage": usage}})
    yield event({"type": "ping"})
    index = 0
    for part in turn.parts:
        if isinstance(part, Wait):
            yield part
            continue
        start, deltas = _block(part, number, index)
        yield event({"type": "content_block_start", "index": index, "content_block": start})
        for delta in deltas:
            yield event({"type": "content_block_delta", "index": index, "delta": delta})
        if part is not turn.parts[-1] or not turn.cut:
            yield event({"type": "content_block_stop", "index": index})
        index += 1
    if turn.failure:
        _, body = failures.anthropic(turn.failure)
        yield event({"type": "error", "error": body["error"]})
        return
    if turn.cut:
        return
    ended = {"stop_reason": _reason(turn), "stop_sequence": None}
    yield event({"type": "message_delta", "delta": ended, "usage": {"output_tokens": turn.usage.output}})
    yield event({"type": "message_stop"})


def _block(part: Text | Thinking | Call, number: int, index: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    match part:
        case Text():
            deltas = [{"type": "text_delta", "text": piece} for piece in part.pieces]
            return {"type": "text", "text": ""}, deltas
        case Thinking():
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in halves(part.text)]
            deltas.append({"type": "signature_delta", "signature": SIGNATURE})
            return {"type": "thinking", "thinking": "", "signature": ""}, deltas
        case Call():
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *halves(part.arguments))]
            return _tool_use(part, number, index, {}), deltas


def _message(body: dict[str, Any], number: int) -> dict[str, Any]:
    head = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": body["model"]}
    return head | {"stop_reason": None, "stop_sequence": None}


def _tool_use(call: Call, number: int, index: int, arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{number}_{index}", "name": call.name, "input": arguments}


def _parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except ValueError:
        return {}  # a whole answer of Anthropic holds an object, whatever the model wrote


def _reason(turn: Turn) -> str:
    return "tool_use" if turn.calls and turn.end == "stop" else _REASONS[turn.end]


def _usage(turn: Turn) -> dict[str, int]:
    # Unlike OpenAI, Anthropic counts what came from the cache apart.
    usage = turn.usage
    return {
        "input_tokens": usage.input - usage.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
    }

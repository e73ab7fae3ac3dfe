"""OpenAI's responses: a turn as a whole answer and as a stream, and what OpenAI refuses."""

from collections.abc import Iterator
from itertools import count
from typing import Any

from tests.provider import failures
from tests.provider.frames import Frame, event, halves
from tests.provider.turns import Call, Text, Thinking, Turn, Wait

_INCOMPLETE = {"length": "max_output_tokens", "filter": "content_filter"}


def fault(body: dict[str, Any]) -> str | None:
    """Why OpenAI would answer 400."""
    asked = body.get("input")
    if not asked:
        return "Missing required parameter: 'input'."
    items = asked if isinstance(asked, list) else []
    called = {item["call_id"] for item in items if item.get("type") == "function_call"}
    answered = {item["call_id"] for item in items if item.get("type") == "function_call_output"}
    if called - answered:
        return f"No tool output found for function call {min(called - answered)}."
    if answered - called and not body.get("previous_response_id"):
        return f"No tool call found for function call output with call_id {min(answered - called)}."
    return None


def whole(turn: Turn, body: dict[str, Any], *, number: int) -> dict[str, Any]:
    """The answer at once."""
    parts = [part for part in turn.parts if not isinstance(part, Wait)]
    output = [_item(part, turn, number, index) for index, part in enumerate(parts)]
    return _response(turn, body, number, output=output)


def stream(turn: Turn, body: dict[str, Any], *, number: int) -> Iterator[Frame]:
    """The answer event by event, numbered."""
    numbers = count()

    def sent(kind: str, **fields: Any) -> str:
        return event({"type": kind, "sequence_number": next(numbers), **fields})

    begun = _response(turn, body, number, output=[]) | {"status": "in_progress", "usage": None}
    yield sent("response.created", response=begun)
    yield sent("response.in_progress", response=begun)
    output: list[dict[str, Any]] = []
    for part in turn.parts:
        if isinstance(part, Wait):
            yield part
            continue
        item = _item(part, turn, number, len(output))
        place = {"output_index": len(output), "item_id": item["id"]}
        yield sent("response.output_item.added", output_index=place["output_index"], item=_empty(item))
        for kind, fields in _deltas(part, item, turn):
            yield sent(kind, **place, **fields)
        yield sent("response.output_item.done", output_index=place["output_index"], item=item)
        output.append(item)
    if turn.failure:
        error = failures.openai(turn.failure)[1]["error"]
        yield sent("error", code=error["code"], message=error["message"], param=None)
        return
    if turn.cut:
        return
    ended = _response(turn, body, number, output=output)
    yield sent(f"response.{ended['status']}", response=ended)


def _deltas(part: Text | Thinking | Call, item: dict[str, Any], turn: Turn) -> Iterator[tuple[str, dict[str, Any]]]:
    match part:
        case Call():
            for piece in halves(part.arguments):
                yield "response.function_call_arguments.delta", {"delta": piece}
            done = {"arguments": part.arguments, "name": part.name}
            yield "response.function_call_arguments.done", done
        case Thinking():
            place = {"summary_index": 0}
            empty = {"type": "summary_text", "text": ""}
            yield "response.reasoning_summary_part.added", place | {"part": empty}
            for piece in halves(part.text):
                yield "response.reasoning_summary_text.delta", place | {"delta": piece}
            yield "response.reasoning_summary_text.done", place | {"text": part.text}
            yield "response.reasoning_summary_part.done", place | {"part": empty | {"text": part.text}}
        case Text() if turn.end == "refusal":
            place = {"content_index": 0}
            yield "response.content_part.added", place | {"part": {"type": "refusal", "refusal": ""}}
            for piece in part.pieces:
                yield "response.refusal.delta", place | {"delta": piece}
            yield "response.refusal.done", place | {"refusal": part.text}
            yield "response.content_part.done", place | {"part": item["content"][0]}
        case Text():
            place = {"content_index": 0}
            empty = {"type": "output_text", "text": "", "annotations": []}
            yield "response.content_part.added", place | {"part": empty}
            for piece in part.pieces:
                yield "response.output_text.delta", place | {"delta": piece, "logprobs": []}
            yield "response.output_text.done", place | {"text": part.text, "logprobs": []}
            yield "response.content_part.done", place | {"part": item["content"][0]}


def _item(part: Text | Thinking | Call, turn: Turn, number: int, index: int) -> dict[str, Any]:
    status = "incomplete" if turn.end in _INCOMPLETE else "completed"
    match part:
        case Call():
            call = {"call_id": f"call_{number}_{index}", "name": part.name, "arguments": part.arguments}
            return {"type": "function_call", "id": f"fc_{number}_{index}", "status": status, **call}
        case Thinking():
            summary = [{"type": "summary_text", "text": part.text}]
            return {"type": "reasoning", "id": f"rs_{number}_{index}", "summary": summary}
        case Text():
            said: dict[str, Any] = {"type": "output_text", "text": part.text, "annotations": []}
            if turn.end == "refusal":
                said = {"type": "refusal", "refusal": part.text}
            head = {"type": "message", "id": f"msg_{number}_{index}", "status": status, "role": "assistant"}
            return head | {"content": [said]}


def _empty(item: dict[str, Any]) -> dict[str, Any]:
    emptied: dict[str, Any] = {"message": {"content": []}, "function_call": {"arguments": ""}}
    return item | {"status": "in_progress"} | emptied.get(item["type"], {"summary": []})


def _response(turn: Turn, body: dict[str, Any], number: int, *, output: list[dict[str, Any]]) -> dict[str, Any]:
    incomplete = _INCOMPLETE.get(turn.end)
    usage = turn.usage
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "incomplete" if incomplete else "completed",
        "error": None,
        "incomplete_details": {"reason": incomplete} if incomplete else None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": body["model"],
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": body.get("store", True),
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": {
            "input_tokens": usage.input,
            "input_tokens_details": {"cached_tokens": usage.cached},
            "output_tokens": usage.output,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage.input + usage.output,
        },
        "user": None,
        "metadata": {},
    }

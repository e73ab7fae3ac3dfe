"""OpenAI's chat completions: a turn as a whole answer and as a stream, and what OpenAI refuses."""

from collections.abc import Iterator
from typing import Any

from tests.provider import failures
from tests.provider.frames import Frame, data, halves
from tests.provider.turns import Call, Text, Turn, Wait

_REASONS = {"stop": "stop", "refusal": "stop", "length": "length", "filter": "content_filter"}


def fault(body: dict[str, Any]) -> str | None:
    """Why OpenAI would answer 400."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return "Missing required parameter: 'messages'."
    if body.get("stream_options") and not body.get("stream"):
        return "The 'stream_options' parameter is only allowed when 'stream' is enabled."
    waiting: set[str] = set()
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                return "messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
            waiting.remove(message["tool_call_id"])
        elif waiting:
            break
        else:
            waiting = {call["id"] for call in message.get("tool_calls") or []}
    if waiting:
        return f"An assistant message with 'tool_calls' must be followed by tool messages: missing {sorted(waiting)}."
    return None


def whole(turn: Turn, body: dict[str, Any], *, number: int) -> dict[str, Any]:
    """The answer at once."""
    refused = turn.end == "refusal"
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if refused else turn.text or None,
        "refusal": turn.text if refused else None,
    }
    if turn.calls:
        message["tool_calls"] = [_call(call, number, index) for index, call in enumerate(turn.calls)]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _reason(turn)}
    return _answer(body, "chat.completion", number, choices=[choice], usage=_usage(turn))


def stream(turn: Turn, body: dict[str, Any], *, number: int) -> Iterator[Frame]:
    """The answer chunk by chunk. Usage comes last, if it is asked for."""
    counted = (body.get("stream_options") or {}).get("include_usage")

    def chunk(delta: dict[str, Any], reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        extra = {"usage": None} if counted else {}
        return data(_answer(body, "chat.completion.chunk", number, choices=[choice], **extra))

    yield chunk({"role": "assistant", "content": "", "refusal": None})
    index = 0
    for part in turn.parts:
        match part:
            case Text():
                name = "refusal" if turn.end == "refusal" else "content"
                yield from (chunk({name: piece}) for piece in part.pieces)
            case Call():
                yield chunk({"tool_calls": [{"index": index} | _call(Call(part.name, ""), number, index)]})
                for piece in halves(part.arguments):
                    yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
                index += 1
            case Wait():
                yield part
    if turn.failure:
        yield data(failures.openai(turn.failure)[1])
        return
    if turn.cut:
        return
    yield chunk({}, _reason(turn))
    if counted:
        yield data(_answer(body, "chat.completion.chunk", number, choices=[], usage=_usage(turn)))
    yield "data: [DONE]\n\n"


def _answer(body: dict[str, Any], kind: str, number: int, **rest: Any) -> dict[str, Any]:
    head = {"id": f"chatcmpl-{number}", "object": kind, "created": 1_700_000_000, "model": body["model"]}
    return head | {"system_fingerprint": "fp_tests", **rest}


def _call(call: Call, number: int, index: int) -> dict[str, Any]:
    identity = {"id": f"call_{number}_{index}", "type": "function"}
    return identity | {"function": {"name": call.name, "arguments": call.arguments}}


def _reason(turn: Turn) -> str:
    return "tool_calls" if turn.calls and turn.end == "stop" else _REASONS[turn.end]


def _usage(turn: Turn) -> dict[str, Any]:
    usage = turn.usage
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }

"""The dialects that the gateway speaks: how each says what went wrong, ends a stream, and what it may be asked."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from control_plane.llm.errors import ModelError

_OVERLOADED_AT_ANTHROPIC = 529

_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    _OVERLOADED_AT_ANTHROPIC: "overloaded_error",
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way to ask a model.

    `path` stands behind the provider's base URL. `asks` is what a caller may say beside `model` and `stream`: anything
    else could steer LiteLLM itself (base_url, api_key, mock_response, callbacks…) or what providers do without us.
    `content` holds the conversation. `last` begins the event that ends a stream; it is held back until the call is
    settled. `output_limit` is the parameter's name.
    """

    name: str
    path: str
    asks: frozenset[str]
    content: str
    last: tuple[bytes, ...]
    output_limit: str
    body_of: Callable[[ModelError], dict[str, Any]]
    event_of: Callable[[ModelError], bytes]
    status_of: Callable[[ModelError], int] = lambda error: error.status


def data(value: Any) -> bytes:
    """One server-sent event without a name."""
    return b"data: " + _json(value) + b"\n\n"


def event(kind: str, value: Any) -> bytes:
    """One server-sent event under a name."""
    return b"event: " + kind.encode() + b"\ndata: " + _json(value) + b"\n\n"


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def openai_error(error: ModelError) -> dict[str, Any]:
    """The error as OpenAI's API would send it."""
    kind = "invalid_request_error" if error.status < 500 else "api_error"
    return {"error": {"message": str(error), "type": kind, "code": error.code, "param": None}}


def anthropic_error(error: ModelError) -> dict[str, Any]:
    """The error as Anthropic's API would send it, and our stable code: behind the words too, which some show alone.

    Claude Code is one of them; `flows.runtimes.claude_messages` reads it there.
    """
    kind = _ANTHROPIC_TYPES.get(_anthropic_status(error), "api_error")
    return {"type": "error", "error": {"type": kind, "message": f"{error} [{error.code}]", "code": error.code}}


def _anthropic_status(error: ModelError) -> int:
    return _OVERLOADED_AT_ANTHROPIC if error.code == "overloaded" else error.status


def _response_failed(error: ModelError) -> bytes:
    # OpenAI's has no inner `error`. Its SDKs raise for one, and would else take a broken stream for a finished one.
    told = {"code": error.code, "message": str(error), "param": None}
    return event("error", {"type": "error", **told, "sequence_number": 0, **openai_error(error)})


CHAT_COMPLETIONS = Dialect(
    name="chat_completions",
    path="/chat/completions",
    asks=frozenset(
        {
            "messages", "tools", "tool_choice", "parallel_tool_calls", "temperature", "top_p", "max_tokens",
            "max_completion_tokens", "stop", "seed", "response_format", "reasoning_effort", "presence_penalty",
            "frequency_penalty", "n", "logprobs", "top_logprobs", "stream_options", "verbosity",
        }
    ),
    content="messages",
    last=(b"data: [DONE]",),
    output_limit="max_tokens",
    body_of=openai_error,
    event_of=lambda error: data(openai_error(error)),
)  # fmt: skip

RESPONSES = Dialect(
    name="responses",
    path="/responses",
    asks=frozenset(
        {
            "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "temperature", "top_p",
            "max_output_tokens", "text", "reasoning", "include", "truncation", "store", "top_logprobs",
            "max_tool_calls",
        }
    ),
    content="input",
    last=(b"event: response.completed", b"event: response.incomplete", b"event: response.failed"),
    output_limit="max_output_tokens",
    body_of=openai_error,
    event_of=_response_failed,
)  # fmt: skip

MESSAGES = Dialect(
    name="messages",
    path="/messages",
    asks=frozenset(
        {
            "messages", "system", "max_tokens", "stop_sequences", "temperature", "top_p", "top_k", "tools",
            "tool_choice", "thinking", "output_config", "output_format", "context_management",
        }
    ),
    content="messages",
    last=(b"event: message_stop",),
    output_limit="max_tokens",
    body_of=anthropic_error,
    event_of=lambda error: event("error", anthropic_error(error)),
    status_of=_anthropic_status,
)  # fmt: skip

COUNT_TOKENS = replace(MESSAGES, name="count_tokens", path="/messages/count_tokens")
"""What goes with messages: how many tokens a request has."""

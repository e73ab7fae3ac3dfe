"""What a caller may ask: the one model of its execution, in the words of its dialect, and no tools of providers."""

from collections.abc import Mapping
from typing import Any

from fastapi import Request

from control_plane.auth.principals import ExecutionPrincipal
from control_plane.llm.dialects import MESSAGES, RESPONSES, Dialect
from control_plane.llm.errors import ModelError
from control_plane.llm.gateway import Call

_OF_THE_CALLER = frozenset({None, "function", "custom"})
"""Types of tools that the caller carries out itself, under its policies."""

_BOUNDS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "n")
"""What budgets are reserved by. Some providers take `"64"` for a number; what is reserved must be what they take."""

_KEPT_ELSEWHERE = ("previous_response_id", "conversation", "prompt", "background")
"""What makes OpenAI look up, or keep, something under the key that this server sends."""


def checked(request: Request, body: Mapping[str, Any], caller: ExecutionPrincipal, dialect: Dialect) -> Call:
    """The call that the body asks for. Raises `ModelError` for what this caller may not have."""
    _check_model(body.get("model"), caller, dialect)
    _check_content(body, dialect)
    _check_bounds(body)
    _check_tools(body.get("tools"))
    return Call(
        caller=caller,
        dialect=dialect,
        request={name: value for name, value in body.items() if name in dialect.asks},
        beta=request.headers.get("anthropic-beta") if dialect is MESSAGES else None,
    )


def _check_model(asked: object, caller: ExecutionPrincipal, dialect: Dialect) -> None:
    if asked in {caller.model, caller.model.split("/", 1)[-1]}:
        return
    if dialect is MESSAGES and isinstance(asked, str) and asked.startswith("claude-"):
        # Claude Code asks for some things by names of its own, whatever it was told. The execution's model answers.
        return
    raise ModelError(
        f"This execution may call the model {caller.model} and no other; the request asks for {asked}.",
        status=403,
        code="model_not_allowed",
    )


def _check_bounds(body: Mapping[str, Any]) -> None:
    for name in _BOUNDS:
        value = body.get(name)
        if value is not None and (type(value) is not int or value < 1):
            raise _bad(f"`{name}` must be a whole number of at least 1.")


def _check_content(body: Mapping[str, Any], dialect: Dialect) -> None:
    content = body.get(dialect.content)
    if dialect is RESPONSES:
        if not isinstance(content, str | list) or not content:
            raise _bad("`input` must be a text or a list of at least one item.")
        if used := [name for name in _KEPT_ELSEWHERE if body.get(name)]:
            raise ModelError(
                f"`{used[0]}` isn't supported: the gateway keeps no conversations. Send all items with each request.",
                status=400,
                code="not_supported",
            )
        return
    if not isinstance(content, list) or not content:
        raise _bad("`messages` must be a list of at least one message.")


def _check_tools(tools: object) -> None:
    if tools is None:
        return
    if not isinstance(tools, list) or not all(isinstance(tool, Mapping) for tool in tools):
        raise _bad("`tools` must be a list of objects.")
    if foreign := [kind for tool in tools if (kind := tool.get("type")) not in _OF_THE_CALLER]:
        raise ModelError(
            f"Tools of type {foreign[0]} are carried out by the provider, where no policy sees them, so they aren't"
            " passed on. Offer functions, and give the agent a toolset.",
            status=400,
            code="tool_not_allowed",
        )


def _bad(message: str) -> ModelError:
    return ModelError(message, status=400, code="bad_request")

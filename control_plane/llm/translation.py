"""Calls of providers that don't speak the caller's dialect: LiteLLM translates there and back."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from itertools import count
from types import ModuleType
from typing import Any

import httpx
from pydantic import BaseModel
from pydantic_core import to_json

from control_plane.llm.dialects import CHAT_COMPLETIONS, MESSAGES, RESPONSES, Dialect, data, event
from control_plane.llm.errors import ModelError
from control_plane.llm.event_stream import DONE, Splitter
from control_plane.llm.explanations import explain, missing_key
from control_plane.llm.loading import loaded
from control_plane.llm.targets import SCRIPTED, Target

_FIXED = {"timeout": 600.0, "max_retries": 0, "_skip_mcp_handler": True}
"""Whether to try again is decided elsewhere: two that do so multiply the calls.

LiteLLM would let a request's tools make this server connect to MCP servers, and needs another package for it.
"""

_BEFORE_THE_ANSWER = (b"event: message_start", b"event: ping", b"event: content_block_start")

_OPENAI_LIKE = frozenset({"openai", "openai_compatible", "azure"})
_KEY_NAMES = {"bedrock": "aws_secret_access_key", "vertex_ai": "vertex_credentials"}
_URLS = frozenset({"image_url", "url", "file_url", "file_data", "file_id", "file"})
"""Where LiteLLM takes a text for an address unless it begins with `data:`."""


async def whole(client: httpx.AsyncClient, dialect: Dialect, target: Target, request: Mapping[str, Any]) -> bytes:
    """The answer in the caller's dialect. Raises `ModelError`."""
    try:
        response = await _ask(client, dialect, target, request, stream=False)
    except ModelError:
        raise
    except Exception as error:
        raise explain(error, target) from error
    return to_json(_plain(response))


async def stream(
    client: httpx.AsyncClient, dialect: Dialect, target: Target, request: Mapping[str, Any]
) -> AsyncGenerator[bytes]:
    """The answer in the caller's dialect, event by event. Raises `ModelError`. Closing it stops the provider's call."""
    try:
        response = await _ask(client, dialect, target, request, stream=True)
    except ModelError:
        raise
    except Exception as error:
        raise explain(error, target) from error
    events = _messages(response) if dialect is MESSAGES else _events(response, dialect)
    try:
        async with aclosing(events):
            async for told in events:
                yield told
    except Exception as error:
        raise explain(error, target) from error
    finally:
        await _close(response)


async def _events(response: Any, dialect: Dialect) -> AsyncGenerator[bytes]:
    numbers = count()
    async for chunk in response:
        value = _plain(chunk)
        if dialect is CHAT_COMPLETIONS:
            yield data(value)
        else:
            # LiteLLM numbers only some.
            yield event(str(value["type"]), value | {"sequence_number": next(numbers)})
    if dialect is CHAT_COMPLETIONS:
        yield DONE


async def _messages(response: Any) -> AsyncGenerator[bytes]:
    splitter, held = Splitter(), list[bytes]()
    async for piece in response:
        for told in splitter.feed(piece):
            # LiteLLM begins an answer before it has one. What fails at once must still have a status.
            if told.startswith(_BEFORE_THE_ANSWER):
                held.append(told)
                continue
            if not told.startswith(b"event: error"):
                for earlier in held:
                    yield earlier
            held.clear()
            yield told


async def _ask(
    client: httpx.AsyncClient, dialect: Dialect, target: Target, request: Mapping[str, Any], *, stream: bool
) -> Any:
    litellm = await asyncio.to_thread(loaded)
    _refuse_addresses(request.get(dialect.content))
    asked = {**request, **_FIXED, **_addressed(litellm, client, target), "model": target.litellm_name}
    asked["stream"] = stream
    if dialect is CHAT_COMPLETIONS:
        if stream:
            asked["stream_options"] = {"include_usage": True}
        return await litellm.acompletion(**asked)
    if dialect is MESSAGES:
        return await litellm.anthropic.messages.acreate(**asked)
    return await _responses(asked, stream=stream)


async def _responses(asked: Mapping[str, Any], *, stream: bool) -> Any:
    # What `litellm.aresponses` does in the end. Before that it imports the package `mcp`, which no server needs.
    from litellm.responses.litellm_completion_transformation.handler import (  # noqa: PLC0415 - imported with LiteLLM
        LiteLLMCompletionTransformationHandler,
    )

    said = {name: value for name, value in asked.items() if name in RESPONSES.asks and name != RESPONSES.content}
    rest = {name: value for name, value in asked.items() if name not in {*RESPONSES.asks, "stream"}}
    handler: Any = LiteLLMCompletionTransformationHandler()
    return await handler.response_api_handler(
        input=asked[RESPONSES.content], responses_api_request=said, _is_async=True, stream=stream, **rest
    )


def _addressed(litellm: ModuleType, client: httpx.AsyncClient, target: Target) -> dict[str, Any]:
    """Where to and with which key. Without one LiteLLM would look for this server's own: never for a tenant."""
    if target.kind == SCRIPTED:
        return {}
    key = target.key.get_secret_value() if target.key else None
    if target.own and key is None and not target.keyless:
        raise missing_key(target)
    told = {**target.parameters}
    if key or target.own:
        # Named differently where it isn't a plain key: LiteLLM would else look for this server's own.
        told[_KEY_NAMES.get(target.kind, "api_key")] = key or "none"
    if target.base_url or target.kind in _OPENAI_LIKE:
        told["api_base"] = target.address
    if target.kind in _OPENAI_LIKE:
        if not key and not target.keyless:
            raise missing_key(target)
        told["client"] = litellm.AsyncOpenAI(
            api_key=key or "none", base_url=target.address, http_client=client, max_retries=0
        )
    elif target.kind == "anthropic":
        # Unlike OpenAI's, LiteLLM's address of Anthropic has no version in it.
        told["api_base"] = target.address.removesuffix("/v1")
        told["client"] = _handler(client)
    return told


def _handler(client: httpx.AsyncClient) -> Any:
    from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler  # noqa: PLC0415 - imported only with LiteLLM

    handler = AsyncHTTPHandler.__new__(AsyncHTTPHandler)
    handler.timeout, handler.event_hooks, handler.client = 600.0, None, client
    return handler


def _plain(value: Any) -> dict[str, Any]:
    if isinstance(value, BaseModel):
        plain: dict[str, Any] = value.model_dump(mode="json", exclude_none=True)
        return plain
    return dict(value)


def _refuse_addresses(content: Any) -> None:
    """LiteLLM would fetch what an address leads to, from this server, whatever that can reach."""
    if isinstance(content, list):
        for part in content:
            _refuse_addresses(part)
    elif isinstance(content, Mapping):
        for name, value in content.items():
            if name in _URLS and isinstance(value, str) and not value.startswith("data:"):
                raise ModelError(
                    "This provider's models can't be shown addresses. Send pictures and files as `data:` URLs.",
                    status=400,
                    code="address_not_allowed",
                )
            if name in {"content", "image_url", "source", "file"} or not isinstance(value, str):
                _refuse_addresses(value)


async def _close(response: Any) -> None:
    for name in ("aclose", "close"):
        if close := getattr(response, name, None):
            closed = close()
            if asyncio.iscoroutine(closed):
                await closed
            return

"""Calls of providers that speak the caller's dialect themselves: request and answer pass as they are.

That is most calls, so nothing is translated, put into objects or written out again on the way.
"""

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from control_plane.llm.dialects import CHAT_COMPLETIONS, Dialect, anthropic_error
from control_plane.llm.event_stream import Splitter
from control_plane.llm.explanations import answered, explain, interrupted, missing_key, unavailable
from control_plane.llm.targets import Target

TIMEOUT = httpx.Timeout(600.0, connect=10.0, pool=10.0)
LIMITS = httpx.Limits(max_connections=1_000, max_keepalive_connections=200, keepalive_expiry=60.0)

_MOST_BYTES = 16 * 1024 * 1024
"""Of a whole answer, and of one event: more than any model says. A tenant's provider may have other things in mind."""

_VERSION_OF_ANTHROPIC = "2023-06-01"
_BETA = re.compile(r"[a-z0-9,. -]{1,1000}")


def request_headers(target: Target, dialect: Dialect, *, beta: str | None) -> dict[str, str]:
    """Credential and version, as the provider wants them. Raises `ModelError` if there is no key."""
    key = target.key.get_secret_value() if target.key else ""
    if not key and not target.keyless:
        raise missing_key(target)
    # What is packed would have to be unpacked to be read, chunk by chunk.
    headers = {"Accept-Encoding": "identity"}
    if key:
        headers |= {
            "anthropic": {"x-api-key": key},
            "azure": {"api-key": key},
        }.get(target.kind, {"Authorization": f"Bearer {key}"})
    if dialect.body_of is anthropic_error:
        headers["anthropic-version"] = _VERSION_OF_ANTHROPIC
        if beta and _BETA.fullmatch(beta):
            headers["anthropic-beta"] = beta
    for parameter, header in (("organization", "OpenAI-Organization"), ("project", "OpenAI-Project")):
        if parameter in target.parameters:
            headers[header] = str(target.parameters[parameter])
    return headers


async def whole(
    client: httpx.AsyncClient, dialect: Dialect, target: Target, request: Mapping[str, Any], *, beta: str | None
) -> bytes:
    """The answer as the provider gives it. Raises `ModelError`."""
    body = {**request, "model": target.model}
    answer = bytearray()
    async with _sent(client, dialect, target, body, beta=beta) as response:
        async for piece in response.aiter_bytes():
            answer += piece
            if len(answer) > _MOST_BYTES:
                raise unavailable(target, "its answer is too large")
    return bytes(answer)


async def stream(
    client: httpx.AsyncClient, dialect: Dialect, target: Target, request: Mapping[str, Any], *, beta: str | None
) -> AsyncGenerator[bytes]:
    """The answer event by event. Raises `ModelError`. Closing the iterator stops the provider's call."""
    body = {**request, "model": target.model, "stream": True}
    if dialect is CHAT_COMPLETIONS:
        body["stream_options"] = {"include_usage": True}
    splitter, begun = Splitter(), False
    async with _sent(client, dialect, target, body, beta=beta) as response:
        try:
            async for piece in response.aiter_bytes():
                for event in splitter.feed(piece):
                    begun = True
                    yield event
                if splitter.waiting > _MOST_BYTES:
                    raise unavailable(target, "its answer is too large")
            for event in splitter.rest():
                yield event
        except httpx.HTTPError as error:
            raise (interrupted(target) if begun else explain(error, target)) from error


@asynccontextmanager
async def _sent(
    client: httpx.AsyncClient, dialect: Dialect, target: Target, body: Mapping[str, Any], *, beta: str | None
) -> AsyncGenerator[httpx.Response]:
    url, headers = target.address + dialect.path, request_headers(target, dialect, beta=beta)
    try:
        request = client.build_request("POST", url, json=body, headers=headers)
        response = await client.send(request, stream=True)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise explain(error, target) from error
    try:
        if response.status_code >= 300:
            said = await _start_of(response)
            raise answered(target, response.status_code, said, response.headers)
        try:
            yield response
        except httpx.HTTPError as error:
            raise explain(error, target) from error
    finally:
        await response.aclose()


async def _start_of(response: httpx.Response, *, most: int = 65_536) -> bytes:
    said = b""
    try:
        async for piece in response.aiter_raw():
            said += piece
            if len(said) > most:
                break
    except httpx.HTTPError:
        return said  # the status says enough
    return said

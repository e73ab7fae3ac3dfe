"""What stands around the gateway in its tests: the credentials of callers, and a provider of models."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from control_plane.auth.principals import Kind, Principal

UPSTREAM_KEY = "sk-upstream-0123456789abcdef"


class Tokens:
    """Stands where the database's credentials do: the text of a token is the model that its execution may call."""

    async def recognise(self, token: str, *, organization: str | None = None) -> Principal | None:  # noqa: ARG002 - the shape of the port
        if token == "revoked":
            return None
        if token == "api-key":
            return Principal(Kind.API_KEY, "ci", organization_id=uuid4())
        return Principal(
            Kind.EXECUTION_TOKEN,
            "execution",
            organization_id=uuid4(),
            execution_id=uuid4(),
            fence=1,
            model=None if token == "ended" else token,
        )


class Upstream:
    """A provider of models behind OpenAI's protocol. What it does depends on the name of the model."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.reached = asyncio.Event()
        self.abandoned = asyncio.Event()
        self.app = Starlette(routes=[Route("/v1/chat/completions", self._complete, methods=["POST"])])

    def reset(self) -> None:
        self.requests.clear()
        self.reached.clear()
        self.abandoned.clear()

    async def _complete(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append({"headers": dict(request.headers), "body": body})
        match body["model"]:
            case "silent":
                self.reached.set()
                await self._wait_until_abandoned(request)
                return Response(status_code=204)
            case "stalling":
                return StreamingResponse(self._stalling(), media_type="text/event-stream")
            case "breaking":
                return StreamingResponse(_broken_off(), media_type="text/event-stream")
            case model if model in _FAILURES:
                return _failure(*_FAILURES[model])
        if body.get("stream"):
            return StreamingResponse(_words(body["model"]), media_type="text/event-stream")
        message = {"role": "assistant", "content": "Hello from upstream"}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return JSONResponse(_answer(body["model"], "chat.completion", choices=[choice], usage=_USAGE))

    async def _stalling(self) -> AsyncIterator[str]:
        yield _chunk("stalling", {"role": "assistant", "content": "Hello"})
        self.reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.abandoned.set()

    async def _wait_until_abandoned(self, request: Request) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self.abandoned.set()


_FAILURES: dict[str, tuple[int, str, dict[str, str]]] = {
    "limited": (429, "Rate limit reached", {"Retry-After": "7"}),
    "broken": (500, "The engine is on fire", {}),
    "unknown": (404, "The model `unknown` does not exist", {}),
    "rejected": (401, f"Incorrect API key provided: {UPSTREAM_KEY}", {}),
    "indiscreet": (400, f"Your request with the key {UPSTREAM_KEY} has no messages that I like", {}),
}

_USAGE = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}


def _answer(model: str, kind: str, **rest: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-upstream", "object": kind, "created": 1, "model": model, **rest}


def _chunk(model: str, delta: dict[str, Any], *, finish_reason: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return f"data: {json.dumps(_answer(model, 'chat.completion.chunk', choices=[choice]))}\n\n"


async def _words(model: str) -> AsyncIterator[str]:
    for word in ("Hello", " from", " upstream"):
        yield _chunk(model, {"role": "assistant", "content": word})
    yield _chunk(model, {}, finish_reason="stop")
    yield f"data: {json.dumps(_answer(model, 'chat.completion.chunk', choices=[], usage=_USAGE))}\n\n"
    yield "data: [DONE]\n\n"


async def _broken_off() -> AsyncIterator[str]:
    yield _chunk("breaking", {"role": "assistant", "content": "Hello"})
    error = {"message": f"The engine caught fire and shows {UPSTREAM_KEY}", "type": "server_error", "code": None}
    yield f"data: {json.dumps({'error': error})}\n\n"


def _failure(status: int, message: str, headers: dict[str, str]) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "type": "x", "code": None}}, status, headers)

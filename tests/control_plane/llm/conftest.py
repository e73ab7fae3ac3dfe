"""The LLM gateway over real HTTP, a real upstream that speaks OpenAI's protocol, and the openai SDK between them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import pytest
from fastapi import APIRouter, FastAPI, Request
from openai import AsyncOpenAI
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from control_plane import problems
from control_plane.auth.principals import Kind, Principal
from control_plane.llm import gateway
from control_plane.llm.router import router
from tests.serving import serving

UPSTREAM_KEY = "sk-upstream-0123456789abcdef"


class Tokens:
    """Stands where the database's credentials do: the text of a token is the model that its execution may call."""

    async def recognise(self, token: str) -> Principal | None:
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
            case "limited":
                return _failure(429, "Rate limit reached", headers={"Retry-After": "7"})
            case "broken":
                return _failure(500, "The engine is on fire")
            case "unknown":
                return _failure(404, "The model `unknown` does not exist")
            case "rejected":
                return _failure(401, f"Incorrect API key provided: {UPSTREAM_KEY}")
            case "indiscreet":
                return _failure(400, f"Your request with the key {UPSTREAM_KEY} has no messages that I like")
            case "silent":
                self.reached.set()
                await self._wait_until_abandoned(request)
                return Response(status_code=204)
            case "stalling":
                return StreamingResponse(self._stalling(request), media_type="text/event-stream")
        if body.get("stream"):
            return StreamingResponse(_words(body["model"]), media_type="text/event-stream")
        message = {"role": "assistant", "content": "Hello from upstream"}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return JSONResponse(_answer(body["model"], "chat.completion", choices=[choice], usage=_USAGE))

    async def _stalling(self, request: Request) -> AsyncIterator[str]:
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


def _failure(status: int, message: str, *, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "type": "x", "code": None}}, status, headers)


@pytest.fixture(scope="session")
async def gateway_url() -> AsyncIterator[str]:
    """The address of the API, with nothing in it but the gateway."""
    gateway.warm_up()
    app = FastAPI()
    app.state.authenticator = Tokens()
    problems.install(app)
    api = APIRouter(prefix="/api/v1")
    api.include_router(router)
    app.include_router(api)
    async with serving(app, lifespan=False) as url:
        yield f"{url}/api/v1/llm/openai/v1"


@pytest.fixture
async def sdk(gateway_url: str) -> AsyncIterator[Callable[[str], AsyncOpenAI]]:
    """Make a client of the openai SDK for a token."""
    clients: list[AsyncOpenAI] = []

    def client(token: str) -> AsyncOpenAI:
        clients.append(AsyncOpenAI(base_url=gateway_url, api_key=token, max_retries=0))
        return clients[-1]

    yield client
    for used in clients:
        await used.close()


@pytest.fixture(scope="session")
async def _upstream() -> AsyncIterator[tuple[Upstream, str]]:
    upstream = Upstream()
    async with serving(upstream.app, lifespan=False) as url:
        yield upstream, f"{url}/v1"


@pytest.fixture
def upstream(_upstream: tuple[Upstream, str], monkeypatch: pytest.MonkeyPatch) -> Upstream:
    """The provider that models called `openai/…` are asked from."""
    provider, url = _upstream
    provider.reset()
    monkeypatch.setenv("OPENAI_API_KEY", UPSTREAM_KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    return provider

"""A provider of models over real HTTP: OpenAI's chat completions and responses and Anthropic's messages.

It says what a test has written down for it, refuses what the real ones refuse, and keeps what it was asked.
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from types import ModuleType
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from tests.provider import chat_completions, failures, messages, responses
from tests.provider.answer import Answer, Watched
from tests.provider.frames import Frame
from tests.provider.turns import Failure, Turn, Usage, Wait

KEY = "sk-canary-0123456789abcdef-provider"
"""What a test gives the gateway as the provider's key, and then looks for everywhere else."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: `dialect` is `chat_completions`, `responses`, `messages` or `count_tokens`."""

    dialect: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def key(self) -> str:
        """The credential, however it was sent."""
        sent = self.headers.get("x-api-key") or self.headers.get("api-key")
        return sent or self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def tools(self) -> list[str]:
        """The names of the tools on offer."""
        return [tool.get("name") or tool["function"]["name"] for tool in self.body.get("tools") or []]

    @property
    def text(self) -> str:
        """The whole body as JSON text, to look for something anywhere in it."""
        return json.dumps(self.body, ensure_ascii=False)


class Provider:
    """Answers each request with the next turn. With an empty script it answers 400."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Asked] = []
        self.keys: set[str] | None = None
        self.reached = asyncio.Event()
        self.abandoned = asyncio.Event()
        self.counted = 42
        self._turns: deque[Turn] = deque()
        self._always: Turn | None = None
        self.app = Starlette(
            routes=[
                Route("/v1/chat/completions", self._route(chat_completions, failures.openai), methods=["POST"]),
                Route("/v1/responses", self._route(responses, failures.openai), methods=["POST"]),
                Route("/v1/messages", self._route(messages, failures.anthropic), methods=["POST"]),
                Route("/v1/messages/count_tokens", self._count_tokens, methods=["POST"]),
            ]
        )

    @property
    def openai_url(self) -> str:
        """The base URL as the openai SDK wants it."""
        return f"{self.url}/v1"

    @property
    def anthropic_url(self) -> str:
        """The base URL as the anthropic SDK wants it."""
        return self.url

    @property
    def left(self) -> int:
        """How many turns nobody has asked for yet."""
        return len(self._turns)

    def will(self, *turns: Turn) -> None:
        """Give these turns next, in this order."""
        self._turns.extend(turns)

    def will_always(self, turn: Turn) -> None:
        """Give this turn whenever no other is written down."""
        self._always = turn

    def accept_only(self, *keys: str) -> None:
        """Answer 401 to any other credential."""
        self.keys = set(keys)

    def reset(self) -> None:
        """Forget everything."""
        self.requests.clear()
        self.keys = None
        self.reached.clear()
        self.abandoned.clear()
        self.counted = 42
        self._turns.clear()
        self._always = None

    def _next(self) -> Turn:
        if self._turns:
            return self._turns.popleft()
        nothing = Failure("bad", message="The test has written down no further turn.")
        return self._always or Turn(failure=nothing)

    def _route(self, dialect: ModuleType, worded: Callable[[Failure], tuple[int, dict[str, Any]]]) -> Any:
        name = dialect.__name__.rpartition(".")[2]

        async def answer(request: Request) -> ASGIApp:
            body = await self._take_down(name, request)
            if refusal := self._refusal(name, request, dialect.fault(body)):
                return _failure(refusal, worded)
            turn, number = self._next(), len(self.requests)
            if turn.failure and not turn.parts:
                return _failure(turn.failure, worded)
            watched = Watched(self.reached, self.abandoned)
            if body.get("stream"):
                return Answer(dialect.stream(turn, body, number=number), watched=watched, cut=turn.cut)
            frames = _at_once(turn, dialect.whole(turn, body, number=number))
            return Answer(frames, watched=watched, cut=turn.cut, whole=True)

        return answer

    async def _count_tokens(self, request: Request) -> ASGIApp:
        await self._take_down("count_tokens", request)
        if refusal := self._refusal("messages", request, None):
            return _failure(refusal, failures.anthropic)
        return JSONResponse({"input_tokens": self.counted})

    async def _take_down(self, dialect: str, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = await request.json()
        self.requests.append(Asked(dialect, dict(request.headers), body))
        return body

    def _refusal(self, dialect: str, request: Request, fault: str | None) -> Failure | None:
        if self.keys is not None and (key := self.requests[-1].key) not in self.keys:
            return Failure("key", message=f"Incorrect API key provided: {key}")
        if dialect == "messages" and "anthropic-version" not in request.headers:
            return Failure("bad", message="anthropic-version: header is required")
        return Failure("bad", message=fault) if fault else None


def _failure(failure: Failure, worded: Callable[[Failure], tuple[int, dict[str, Any]]]) -> JSONResponse:
    status, body = worded(failure)
    headers = {"retry-after": failure.retry_after} if failure.retry_after else {}
    return JSONResponse(body, status, headers)


def _at_once(turn: Turn, answer: dict[str, Any]) -> Iterator[Frame]:
    text = json.dumps(answer)
    waits = (part for part in turn.parts if isinstance(part, Wait))
    return chain(waits, (text[: len(text) // 2],) if turn.cut else (text,))


__all__ = ["KEY", "Asked", "Provider", "Usage"]

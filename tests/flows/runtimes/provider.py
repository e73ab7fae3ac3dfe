"""A model behind OpenAI's protocol that says what the test wrote down for it, over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

USAGE = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}

Turn = Sequence[dict[str, Any]] | int
"""What the model streams in one turn, or the HTTP status it fails with."""


def says(*words: str) -> Turn:
    """A turn of text, one chunk a word."""
    return [{"content": word} for word in words]


def calls(name: str, arguments: Any, *, index: int = 0) -> dict[str, Any]:
    """One call of a tool, as a part of a turn. `arguments` that are text are sent as they are."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    call = {"index": index, "id": f"call_{name}_{index}", "type": "function"}
    return {"tool_calls": [{**call, "function": {"name": name, "arguments": text}}]}


class Provider:
    """Answers each request with the next of its turns, the last one again and again."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.requests: list[dict[str, Any]] = []
        self.tokens: list[str] = []
        self.abandoned = asyncio.Event()
        self.app = Starlette(routes=[Route("/v1/chat/completions", self._complete, methods=["POST"])])

    def messages(self, request: int, role: str) -> list[str]:
        """What stood under a role in one of the requests."""
        return [message["content"] for message in self.requests[request]["messages"] if message["role"] == role]

    async def _complete(self, request: Request) -> Response:
        self.tokens.append(request.headers["authorization"])
        self.requests.append(await request.json())
        turn = self.turns.pop(0) if len(self.turns) > 1 else self.turns[0]
        if isinstance(turn, int):
            problem = {"message": "The model is on fire", "type": "x", "code": None}
            return JSONResponse({"error": problem}, turn, {"retry-after-ms": "1"})
        return StreamingResponse(self._stream(turn), media_type="text/event-stream")

    async def _stream(self, turn: Sequence[dict[str, Any]]) -> AsyncIterator[str]:
        for delta in turn:
            if delta.get("endless"):
                try:
                    await asyncio.Event().wait()
                finally:
                    self.abandoned.set()
            yield _line([{"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": None}])
        reason = "tool_calls" if any("tool_calls" in delta for delta in turn) else "stop"
        yield _line([{"index": 0, "delta": {}, "finish_reason": reason}])
        yield _line([], usage=USAGE)
        yield "data: [DONE]\n\n"


def _line(choices: list[dict[str, Any]], **rest: Any) -> str:
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **rest}
    return f"data: {json.dumps(chunk)}\n\n"

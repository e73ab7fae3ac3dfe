"""What every HTTP request passes before it reaches a route: a request id, bounds, and a word to caches. Pure ASGI."""

import re
from typing import Any, ClassVar
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from control_plane.problems import BodyTooLarge, HeadersTooLarge, send_problem

_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

CORS: dict[str, Any] = {
    # Never cookies or client certificates: who calls shows a bearer credential, which no browser adds by itself.
    "allow_credentials": False,
    "allow_methods": ["GET", "POST", "PUT", "PATCH", "DELETE"],
    "allow_headers": [
        "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID",
        "X-Request-Id",
    ],
    "expose_headers": [
        "ETag", "Idempotent-Replayed", "Link", "Location", "RateLimit", "RateLimit-Policy", "Retry-After",
        "X-Request-Id",
    ],
    "max_age": 600,
}  # fmt: skip
"""What scripts of other origins may send and read, where the settings name their origins."""


class RequestId:
    """Give each request an id, taken from `X-Request-Id` when it is harmless, and send it back."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        offered = Headers(scope=scope).get("x-request-id", "")
        request_id = offered if _ACCEPTABLE_ID.fullmatch(offered) else uuid4().hex
        scope["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (b"x-request-id", request_id.encode())]
            await send(message)

        await self.app(scope, receive, send_with_id)


class NotKept:
    """Let no browser and no proxy keep an answer of the API, which may show a key once; `ETag` works all the same."""

    KEPT_OUT: ClassVar = ("/api/v1", "/run-history/api", "/run-history/ui-settings")

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(self.KEPT_OUT):
            await self.app(scope, receive, send)
            return

        async def send_with_rule(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.get("headers", [])
                if all(name.lower() != b"cache-control" for name, _ in headers):
                    message["headers"] = [*headers, (b"cache-control", b"no-store")]
            await send(message)

        await self.app(scope, receive, send_with_rule)


class HeaderLimit:
    """Refuse headers and paths that add up to more than 64 KiB with 431, before anything looks into them."""

    MOST: ClassVar = 65_536

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            size = len(scope["raw_path"]) + len(scope["query_string"])
            size += sum(len(name) + len(value) + 4 for name, value in scope["headers"])  # 4: colon, blank, CR, LF
            if size > self.MOST:
                problem = HeadersTooLarge(f"The headers are larger than {self.MOST} bytes, the most that is accepted.")
                await send_problem(send, scope=scope, problem=problem)
                return
        await self.app(scope, receive, send)


class BodyLimit:
    """Refuse bodies over `limit` bytes with 413, by their declared length or, without one, as they arrive.

    `artifacts` is the limit for those of workers that are files.
    """

    FILES: ClassVar = re.compile(r"/api/v1/worker/executions/[^/]+/artifacts")

    def __init__(self, app: ASGIApp, *, limit: int, artifacts: int) -> None:
        self.app = app
        self.limit = limit
        self.artifacts = artifacts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.artifacts if self.FILES.fullmatch(scope["path"]) else self.limit
        problem = BodyTooLarge(f"The body is larger than {limit} bytes, the most this server accepts.")
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdecimal() and int(declared) > limit:
            await send_problem(send, scope=scope, problem=problem)
            return
        received = 0
        refused = False

        async def counted() -> Message:
            nonlocal received, refused
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                refused = True
                raise problem
            return message

        async def send_unless_refused(message: Message) -> None:
            # FastAPI answers 400 to whatever goes wrong while it reads a body; the caller should read the real reason.
            if not refused:
                await send(message)
            elif message["type"] == "http.response.start":
                await send_problem(send, scope=scope, problem=problem)

        await self.app(scope, counted, send_unless_refused)

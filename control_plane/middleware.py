"""What every HTTP request passes before it reaches a route: a request id and a bound on its body. Pure ASGI."""

import re
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from control_plane.problems import BodyTooLarge, send_problem

_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


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


class BodyLimit:
    """Refuse bodies over `limit` bytes with 413, by their declared length or, without one, as they arrive."""

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        problem = BodyTooLarge(f"The body is larger than {self.limit} bytes, the most this server accepts.")
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdecimal() and int(declared) > self.limit:
            await send_problem(send, scope=scope, problem=problem)
            return
        received = 0
        refused = False

        async def counted() -> Message:
            nonlocal received, refused
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.limit:
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

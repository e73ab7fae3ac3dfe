"""Routes that speak a provider's dialect to the end: what goes wrong, and a caller that goes away."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, TypeVar

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from control_plane.llm.dialects import CHAT_COMPLETIONS, MESSAGES, Dialect
from control_plane.llm.errors import ModelError
from control_plane.problems import Problem

T = TypeVar("T")

CLIENT_CLOSED_REQUEST = 499
"""Nobody reads this answer. The status, which is nginx's, stands in the access log."""


class OpenAIRoute(APIRoute):
    """A route whose errors have OpenAI's shape, those of credentials and validation too."""

    dialect: ClassVar[Dialect] = CHAT_COMPLETIONS

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's hook around dependencies, validation and the handler."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            self.prepare(request)
            try:
                return await handle(request)
            except ModelError as error:
                return self.render(error)
            except Problem as problem:
                told = ModelError(problem.detail, status=problem.status, code=problem.code, headers=problem.headers)
                return self.render(told)
            except RequestValidationError as error:
                return self.render(ModelError(_first(error), status=400, code="bad_request"))
            except HTTPException as error:
                return self.render(ModelError(str(error.detail), status=error.status_code, code="bad_request"))

        return handled

    def prepare(self, request: Request) -> None:
        """Before anything is read of the request."""

    def render(self, error: ModelError) -> JSONResponse:
        """The answer that tells of the error."""
        return JSONResponse(
            self.dialect.body_of(error), status_code=self.dialect.status_of(error), headers=error.headers
        )


class AnthropicRoute(OpenAIRoute):
    """The same in Anthropic's shape. The SDK of Anthropic sends its credential as `x-api-key`."""

    dialect: ClassVar[Dialect] = MESSAGES

    def prepare(self, request: Request) -> None:
        """Let the credential be where credentials are looked for. An `Authorization` header goes before."""
        key = request.headers.get("x-api-key")
        if key and "authorization" not in request.headers:
            request.scope["headers"] = [*request.scope["headers"], (b"authorization", b"Bearer " + key.encode())]
            # Starlette keeps the headers that it has read once.
            del request._headers  # noqa: SLF001


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What the work returns. It is cancelled, and `ModelError` raised, when the caller disconnects meanwhile.

    The body must have been read: whatever else the connection brings is dropped.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ModelError("The caller has disconnected.", status=CLIENT_CLOSED_REQUEST, code="disconnected")
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _first(error: RequestValidationError) -> str:
    item = error.errors()[0]
    return f"The request can't be read: {'.'.join(str(part) for part in item['loc'])}: {item['msg']}."

"""Routes that speak OpenAI's dialect to the end: what goes wrong, and a caller that goes away."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from control_plane.llm.errors import ModelError
from control_plane.problems import Problem

T = TypeVar("T")

CLIENT_CLOSED_REQUEST = 499
"""Nobody reads this answer. The status, which is nginx's, stands in the access log."""


class OpenAIRoute(APIRoute):
    """A route whose errors have OpenAI's shape, those of credentials and validation too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's hook around dependencies, validation and the handler."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except ModelError as error:
                return render(error)
            except Problem as problem:
                return render(
                    ModelError(problem.detail, status=problem.status, code=problem.code, headers=problem.headers)
                )
            except RequestValidationError as error:
                return render(ModelError(_first(error), status=400, code="bad_request"))
            except HTTPException as error:
                return render(ModelError(str(error.detail), status=error.status_code, code="bad_request"))

        return handled


def render(error: ModelError) -> JSONResponse:
    """The answer that tells of the error."""
    return JSONResponse(error.body(), status_code=error.status, headers=error.headers)


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

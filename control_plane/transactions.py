"""One request, one transaction: `APIRouter(route_class=TenantRoute)` for everything that people call.

The session that the route's dependency opened is committed once the answer has been made and before it is sent, so
whatever must stand or fall together with the change is written here, in that transaction. An answer of 400 or above,
returned or raised, undoes everything.
"""

from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from functools import wraps
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from fastapi.routing import APIRoute

from control_plane.auth.dependencies import audited
from control_plane.db import pipelined
from control_plane.idempotency import REPLAYED, Asked, Claim, IdempotencyKeyReused, claim
from control_plane.json_body import JsonRequest
from control_plane.problems import problems

Endpoint = Callable[..., Coroutine[Any, Any, Any]]

_current: ContextVar[Request] = ContextVar("the request that is being answered")


class TenantRoute(APIRoute):
    """A route that reads JSON strictly, owns its transaction's end, and honours `Idempotency-Key` on POST."""

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        if "POST" in (options.get("methods") or ()):
            endpoint = _once(endpoint)
            options["dependencies"] = [*(options.get("dependencies") or ()), Depends(_idempotency_key)]
            options["responses"] = _with_reused_key(options.get("responses") or {})
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's hook around dependencies, validation and the endpoint; the session is still open at its end."""
        handle = super().get_route_handler()

        async def handled(received: Request) -> Response:
            request = JsonRequest(received.scope, received.receive)
            token = _current.set(request)
            try:
                response = await handle(request)
            finally:
                _current.reset(token)
            await _conclude(request, response)
            return response

        return handled


async def _conclude(request: Request, response: Response) -> None:
    session = getattr(request.state, "session", None)
    if session is None or REPLAYED in response.headers:
        return
    if response.status_code >= 400:
        await session.rollback()
        return
    async with pipelined(session, commit=True):
        await audited(request, response, session=session, principal=request.state.principal)
        if claimed := getattr(request.state, "claim", None):
            await claimed.record(response)


async def _idempotency_key(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            min_length=1,
            max_length=255,
            description=(
                "A value of your own, new for each new request, such as a UUID. The same request with the same key"
                " within 24 hours gets the same answer, marked `Idempotent-Replayed`, and has no second effect."
            ),
        ),
    ] = None,
) -> None:
    request.state.idempotency_key = idempotency_key


def _once(endpoint: Endpoint) -> Endpoint:
    # Wrapped rather than a dependency: here the credential, the permission and the body have all been found good.
    @wraps(endpoint)
    async def once(**values: Any) -> Any:
        request = _current.get()
        if request.state.idempotency_key and hasattr(request.state, "session"):
            claimed = await _claim(request)
            if not isinstance(claimed, Claim):
                return claimed
            request.state.claim = claimed
        return await endpoint(**values)

    return once


async def _claim(request: Request) -> Claim | Response:
    state = request.state
    described = f"{request.method} {request.url.path}?{request.url.query}\n".encode() + await request.body()
    asked = Asked.of(state.idempotency_key, state.principal, described, hasher=request.app.state.hasher)
    return await claim(state.session, asked)


def _with_reused_key(responses: dict[int | str, Any]) -> dict[int | str, Any]:
    conflict = problems(IdempotencyKeyReused)[409]
    if own := responses.get(409):
        conflict["description"] = f"{own['description']} {conflict['description']}"
    return responses | {409: conflict}

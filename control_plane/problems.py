"""Problems (RFC 9457): everything the API refuses, raised anywhere and rendered once.

A subclass names one kind of problem; its docstring is the problem's page. `detail` speaks to who can mend it.
"""

import json
import logging
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar
from uuid import UUID

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

PROBLEM_TYPE = "application/problem+json"
BEARER = 'Bearer realm="control-plane"'

logger = logging.getLogger(__name__)


class Problem(Exception):
    """Something the caller can understand and usually mend."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "bad_request"
    title: ClassVar[str] = "The request can't be carried out"

    def __init__(self, detail: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers or {}


class MalformedJson(Problem):
    """The body is not JSON, or JSON that could be read in two ways."""

    status, code, title = 400, "malformed_json", "The body isn't JSON"


class Unauthenticated(Problem):
    """The request carries no credential, or one that is unknown, expired or revoked."""

    status, code, title = 401, "unauthenticated", "A valid credential is needed"

    def __init__(self, detail: str = "Send `Authorization: Bearer <key>` with a key that is valid.") -> None:
        super().__init__(detail, headers={"WWW-Authenticate": BEARER})


class Forbidden(Problem):
    """The credential is valid but doesn't carry the permission this operation needs."""

    status, code, title = 403, "forbidden", "The credential doesn't allow this"


class NotFound(Problem):
    """There is no such resource in the organization of the credential."""

    status, code, title = 404, "not_found", "Not found"

    @classmethod
    def of(cls, kind: str, identity: UUID | str | int) -> "NotFound":
        """The problem of one missing resource: `NotFound.of("agent", agent_id)`."""
        return cls(f"There is no {kind} {identity} that this credential can see.")


class Conflict(Problem):
    """The request contradicts the present state of the resource."""

    status, code, title = 409, "conflict", "The request contradicts the present state"


class AlreadyExists(Conflict):
    """A resource of this name exists already."""

    code, title = "already_exists", "The name is taken"


class BodyTooLarge(Problem):
    """The request's body is larger than this server accepts."""

    status, code, title = 413, "body_too_large", "The body is too large"


class UnsupportedMediaType(Problem):
    """The request has a body that isn't declared as JSON. Send `Content-Type: application/json`."""

    status, code, title = 415, "unsupported_media_type", "The body must be JSON"


class Invalid(Problem):
    """The request is well formed but a value in it can't be used."""

    status, code, title = 422, "invalid", "A value can't be used"

    def __init__(self, detail: str, *, location: str | None = None) -> None:
        super().__init__(detail)
        self.errors = [{"location": location, "message": detail, "code": self.code}] if location else []


class HeadersTooLarge(Problem):
    """The request's headers and path together are larger than this server accepts."""

    status, code, title = 431, "headers_too_large", "The headers are too large"


class TooManyRequests(Problem):
    """More requests came than this server accepts from one credential or address. `Retry-After` says when to repeat."""

    status, code, title = 429, "too_many_requests", "Too many requests"


class Unavailable(Problem):
    """A part this operation needs doesn't answer at the moment; the same request may succeed later."""

    status, code, title = 503, "unavailable", "Not available at the moment"


class ProblemError(BaseModel):
    """One wrong place in a request. `location` is a path like `body.llm_config.provider`."""

    location: str
    message: str = Field(description="What it must be, for people.")
    code: str = Field(description="The same, for programs.")


class ProblemRead(BaseModel):
    """The body of every error (RFC 9457, `application/problem+json`)."""

    type: str = Field(description="URI of the kind of problem.")
    title: str = Field(description="The kind in words.")
    status: int = Field(description="The HTTP status once more.")
    detail: str = Field(description="What happened this time, and what to do.")
    instance: str = Field(description="The path that was asked.")
    code: str = Field(description="The kind for programs; it stays the same.")
    request_id: str | None = Field(default=None, description="As `X-Request-Id` and the server's log have it.")
    errors: list[ProblemError] = Field(default=[], description="Each wrong place of a request that can't be used.")


def problems(*kinds: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """Declare in OpenAPI the problems a route can answer with."""
    described: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        text = (kind.__doc__ or kind.title).strip()
        earlier = described.get(kind.status, {}).get("description")
        described[kind.status] = {
            "description": f"{earlier} {text}" if earlier else text,
            "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemRead"}}},
        }
    return described


def render(
    request: Request,
    *,
    status: int,
    code: str,
    title: str,
    detail: str,
    errors: list[dict[str, Any]] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """One problem as an HTTP response."""
    body = ProblemRead(
        type=f"urn:agent-control-plane:problem:{code}",
        title=title,
        status=status,
        detail=detail,
        instance=request.url.path,
        code=code,
        request_id=request.scope.get("request_id"),
        errors=[ProblemError(**error) for error in errors or []],
    )
    return JSONResponse(body.model_dump(), status_code=status, media_type=PROBLEM_TYPE, headers=headers)


def install(app: FastAPI) -> None:
    """Render every error of `app` as a problem: ours, unknown routes and bugs."""
    app.openapi = partial(_described, app, app.openapi)  # type: ignore[method-assign] # how FastAPI documents it
    app.add_exception_handler(Problem, _render_problem)
    app.add_exception_handler(HTTPException, _render_http)
    app.add_exception_handler(Exception, _render_bug)


def _described(app: FastAPI, generate: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = ProblemRead.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas = generate()["components"]["schemas"]
        schemas |= schema.pop("$defs") | {ProblemRead.__name__: schema}
    return generate()


async def _render_problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)  # noqa: S101 - Starlette's handler type is wider than what it is registered for
    return render_problem(request, error)


def render_problem(request: Request, problem: Problem) -> JSONResponse:
    """A problem as an HTTP response."""
    return render(
        request,
        status=problem.status,
        code=problem.code,
        title=problem.title,
        detail=problem.detail,
        errors=getattr(problem, "errors", None),
        headers=problem.headers,
    )


async def _render_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - see _render_problem
    phrase = HTTPStatus(error.status_code).phrase
    details = {404: f"There is nothing at {request.url.path}. The API is described at /api/docs."}
    return render(
        request,
        status=error.status_code,
        code=phrase.lower().replace(" ", "_"),
        title=phrase,
        detail=details.get(error.status_code, str(error.detail)),
        headers=dict(error.headers or {}),
    )


async def _render_bug(request: Request, error: Exception) -> JSONResponse:
    logger.error("request %s failed", request.scope.get("request_id"), exc_info=error)
    return render(
        request,
        status=500,
        code="internal_error",
        title="Internal error",
        detail="This is a fault of the server. Its log holds the reason under the request id.",
        # Starlette answers this one outside of all middleware, so the header isn't added there.
        headers={"X-Request-Id": str(request.scope.get("request_id"))},
    )


async def send_problem(send: Any, *, scope: Any, problem: Problem) -> None:
    """Answer with `problem` from a pure ASGI middleware, where no exception handler is in reach."""
    body = ProblemRead(
        type=f"urn:agent-control-plane:problem:{problem.code}",
        title=problem.title,
        status=problem.status,
        detail=problem.detail,
        instance=scope["path"],
        code=problem.code,
        request_id=scope.get("request_id"),
    )
    content = json.dumps(body.model_dump()).encode()
    headers = [(b"content-type", PROBLEM_TYPE.encode()), (b"content-length", str(len(content)).encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})

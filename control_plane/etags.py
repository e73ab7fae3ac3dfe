"""`ETag`, `If-Match` and `If-None-Match` (RFC 9110): nobody overwrites a change that they haven't seen.

Every answer that shows one resource carries its tag; in a router:

    get:            async def get_project(…, conditional: Conditional) -> ProjectRead:
                        return conditional.answer(ProjectRead.of(project))            # sets ETag, or answers 304
    post and patch: return tagged(response, ProjectRead.of(project))                  # sets ETag
    patch, delete:  async def change_project(…, if_match: IfMatch) -> ProjectRead:
                        project = await projects.get(session, project_id, lock=True)  # locked: check, then change
                        if_match.check(project)                                       # raises PreconditionFailed

and `responses=problems(NotFound, PreconditionFailed) | TAGGED` (get: `problems(NotFound) | CONDITIONAL`; post:
`… | CREATED`; delete: no tag).
"""

import hashlib
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol, TypeVar
from uuid import UUID

from fastapi import Depends, FastAPI, Header, Request, Response
from starlette.responses import Response as PlainResponse

from control_plane.problems import Problem

_HEADER = {"ETag": {"description": "Which state of the resource this is.", "schema": {"type": "string"}}}

TAGGED: dict[int | str, dict[str, Any]] = {200: {"headers": _HEADER}}
"""What to declare for a route whose answer carries a tag."""

CREATED: dict[int | str, dict[str, Any]] = {201: {"headers": _HEADER}}
"""The same for a route that creates."""

CONDITIONAL: dict[int | str, dict[str, Any]] = TAGGED | {
    304: {"description": "It is as the tag in `If-None-Match` says.", "headers": _HEADER}
}
"""What to declare for a route that may answer that nothing has changed."""


class PreconditionFailed(Problem):
    """The resource has changed since the tag in `If-Match` was given out. Read it again, then decide again."""

    status, code, title = 412, "precondition_failed", "The resource has changed meanwhile"


class Versioned(Protocol):
    """A row, or the answer made from it. `updated_at` must change whenever anything that the answer shows does."""

    @property
    def id(self) -> UUID: ...
    @property
    def updated_at(self) -> datetime: ...


Answer = TypeVar("Answer", bound=Versioned)


def etag(subject: Versioned) -> str:
    """The strong tag of this state of a resource, quotes included."""
    state = f"{subject.id} {subject.updated_at.astimezone(UTC).isoformat()}"
    return f'"{hashlib.sha256(state.encode()).hexdigest()[:32]}"'


def tagged(response: Response, answer: Answer) -> Answer:
    """The answer itself; the response gets its tag."""
    response.headers["ETag"] = etag(answer)
    return answer


class _IfMatch:
    def __init__(self, if_match: str | None) -> None:
        self._accepted = {"*"} if if_match is None else _tags(if_match)

    def check(self, row: Versioned) -> None:
        """Raise `PreconditionFailed` if the caller knows another state of the (locked) row than this."""
        if not self._accepted & {"*", etag(row)}:
            raise PreconditionFailed("It has changed since you read it. Read it again, then send what you still want.")


class _Conditional:
    def __init__(self, response: Response, if_none_match: str | None) -> None:
        self._response = response
        # Compression on the way makes a tag weak; for reading it says the same.
        self._known = {tag.removeprefix("W/") for tag in _tags(if_none_match)}

    def answer(self, answer: Answer) -> Answer:
        """The answer itself; the response gets its tag. Raises `NotModified` if the caller has this state already."""
        if self._known & {"*", etag(answer)}:
            raise NotModified(etag(answer))
        return tagged(self._response, answer)


class NotModified(Exception):
    """The caller knows this state already: rendered as a bodyless 304."""

    def __init__(self, tag: str) -> None:
        super().__init__(tag)
        self.tag = tag


def install(app: FastAPI) -> None:
    """Let `app` answer 304."""
    app.add_exception_handler(NotModified, _render_not_modified)


async def _render_not_modified(_: Request, error: Exception) -> PlainResponse:
    assert isinstance(error, NotModified)  # noqa: S101 - Starlette's handler type is wider than what it is registered for
    return PlainResponse(status_code=304, headers={"ETag": error.tag})


def _tags(header: str | None) -> set[str]:
    return {tag.strip() for tag in (header or "").split(",")} - {""}


async def _if_match(
    if_match: Annotated[
        str | None, Header(max_length=2_000, description="`ETag` of the state you know; another state: 412.")
    ] = None,
) -> _IfMatch:
    return _IfMatch(if_match)


async def _conditional(
    response: Response,
    if_none_match: Annotated[
        str | None, Header(max_length=2_000, description="`ETag` of the state you know; the same state: 304.")
    ] = None,
) -> _Conditional:
    return _Conditional(response, if_none_match)


IfMatch = Annotated[_IfMatch, Depends(_if_match)]
Conditional = Annotated[_Conditional, Depends(_conditional)]

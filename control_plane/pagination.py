"""Lists, newest first, one page at a time, by keyset: page 10,000 costs what page 1 costs."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from sqlalchemy import FromClause, Select, Subquery, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from control_plane.db import Base, Listed
from control_plane.problems import Invalid

Row = TypeVar("Row", bound=Listed)
Numbered = TypeVar("Numbered", bound=Base)

_LARGEST = 2**31 - 1
"""What fits into a column of numbers."""


class Page:
    """One page of a list. `fetch` adds the `Link: <…>; rel="next"` header when there is more."""

    def __init__(
        self,
        request: Request,
        response: Response,
        limit: int = 50,
        cursor: str | None = None,
    ) -> None:
        self._request = request
        self._response = response
        self.limit = limit
        self._cursor = cursor

    async def fetch(self, session: AsyncSession, statement: Select[Row], model: type[Row]) -> list[Row]:
        """The rows of this page of `statement`, which must select `model` alone and have no order of its own."""
        return self._shown(list(await session.scalars(self._narrowed(statement, model))))

    async def fetch_columns(
        self, session: AsyncSession, statement: Select[Any], table: FromClause
    ) -> list[dict[str, Any]]:
        """The same for columns of `table`, `id` and `created_at` among them: dicts, which cost a fifth of objects."""
        found = await session.execute(self._narrowed(statement, table.c))
        names = tuple(found.keys())
        return [dict(zip(names, row, strict=True)) for row in self._shown(list(found.all()))]

    def _narrowed(self, statement: Select[Any], of: Any) -> Select[Any]:
        if self._cursor:
            statement = statement.where(tuple_(of.created_at, of.id) < _decode(self._cursor))
        return statement.order_by(of.created_at.desc(), of.id.desc()).limit(self.limit + 1)

    def _shown(self, rows: list[Any]) -> list[Any]:
        if len(rows) > self.limit:
            rows.pop()
            self._link(f"{rows[-1].created_at.isoformat()}|{rows[-1].id}")
        return rows

    async def fetch_numbered(
        self, session: AsyncSession, statement: Select[Numbered], number: InstrumentedAttribute[int]
    ) -> list[Numbered]:
        """The same for the versions of one resource, whose order is their number."""
        if self._cursor:
            statement = statement.where(number < _decode_number(self._cursor))
        rows = list(await session.scalars(statement.order_by(number.desc()).limit(self.limit + 1)))
        if len(rows) > self.limit:
            rows.pop()
            self._link(str(getattr(rows[-1], number.key)))
        return rows

    async def fetch_keyed(self, session: AsyncSession, rows: Subquery) -> list[Mapping[str, Any]]:
        """The same for rows without an id: the newest `moment` first, and of one moment in the order of their `key`."""
        statement = select(rows)
        if self._cursor:
            statement = statement.where(tuple_(rows.c.moment, rows.c.key) < _decode_key(self._cursor))
        statement = statement.order_by(rows.c.moment.desc(), rows.c.key.desc()).limit(self.limit + 1)
        found = [row._mapping for row in await session.execute(statement)]  # noqa: SLF001 - how SQLAlchemy names it
        if len(found) > self.limit:
            found.pop()
            self._link(f"{found[-1]['moment'].isoformat()}|{found[-1]['key']}")
        return [dict(row) for row in found]

    def _link(self, last: str) -> None:
        cursor = base64.urlsafe_b64encode(last.encode()).decode().rstrip("=")
        following = self._request.url.include_query_params(cursor=cursor)
        self._response.headers["Link"] = f'<{following}>; rel="next"'


def _decode(cursor: str) -> tuple[datetime, UUID]:
    try:
        moment, identity = _text(cursor).split("|")
        return datetime.fromisoformat(moment).astimezone(UTC), UUID(identity)
    except (ValueError, OverflowError) as error:
        raise _not_ours() from error


def _decode_key(cursor: str) -> tuple[datetime, str]:
    try:
        moment, key = _text(cursor).split("|")
        return datetime.fromisoformat(moment).astimezone(UTC), key.replace("\x00", "")
    except (ValueError, OverflowError) as error:
        raise _not_ours() from error


def _decode_number(cursor: str) -> int:
    try:
        return max(0, min(int(_text(cursor)), _LARGEST))
    except ValueError as error:
        raise _not_ours() from error


def _text(cursor: str) -> str:
    return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()


def _not_ours() -> Invalid:
    return Invalid("This isn't a cursor of ours. Take it from the `Link` header.", location="query.cursor")


async def _page(
    request: Request,
    response: Response,
    limit: Annotated[int, Query(ge=1, le=200, description="How many at most.")] = 50,
    cursor: Annotated[str | None, Query(max_length=200, description="From the `Link` of the page before.")] = None,
) -> Page:
    return Page(request, response, limit, cursor)


Paged = Annotated[Page, Depends(_page)]

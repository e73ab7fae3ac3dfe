"""Lists, newest first, one page at a time, by keyset: page 10,000 costs what page 1 costs."""

import base64
from datetime import UTC, datetime
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from sqlalchemy import Select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db import Resource
from control_plane.problems import Invalid

Row = TypeVar("Row", bound=Resource)


class Page:
    """One page of a list. `fetch` adds the `Link: <…>; rel="next"` header when there is more."""

    def __init__(
        self,
        request: Request,
        response: Response,
        limit: Annotated[int, Query(ge=1, le=200, description="How many at most.")] = 50,
        cursor: Annotated[str | None, Query(max_length=200, description="From the `Link` of the page before.")] = None,
    ) -> None:
        self._request = request
        self._response = response
        self.limit = limit
        self._after = _decode(cursor) if cursor else None

    async def fetch(self, session: AsyncSession, statement: Select[Row], model: type[Row]) -> list[Row]:
        """The rows of this page of `statement`, which must select `model` alone and have no order of its own."""
        if self._after:
            statement = statement.where(tuple_(model.created_at, model.id) < self._after)
        statement = statement.order_by(model.created_at.desc(), model.id.desc()).limit(self.limit + 1)
        rows = list(await session.scalars(statement))
        if len(rows) > self.limit:
            rows.pop()
            following = self._request.url.include_query_params(cursor=_encode(rows[-1]))
            self._response.headers["Link"] = f'<{following}>; rel="next"'
        return rows


def _encode(row: Resource) -> str:
    return base64.urlsafe_b64encode(f"{row.created_at.isoformat()}|{row.id}".encode()).decode().rstrip("=")


def _decode(cursor: str) -> tuple[datetime, UUID]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        moment, identity = text.split("|")
        return datetime.fromisoformat(moment).astimezone(UTC), UUID(identity)
    except (ValueError, OverflowError) as error:
        raise Invalid(
            "This isn't a cursor of ours. Take it from the `Link` header.", location="query.cursor"
        ) from error


Paged = Annotated[Page, Depends()]

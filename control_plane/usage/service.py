"""What models were used for, and what it cost. Metering, in `control_plane.llm`, writes it down."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, DateTime, Text, cast, func, literal_column, null, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from control_plane.pagination import Page
from control_plane.usage.models import ModelCall, UsageHour
from control_plane.usage.schemas import Bucket, Group

_GROUPED: Mapping[Group, InstrumentedAttribute[Any]] = {
    Group.PROJECT: UsageHour.project_id,
    Group.ENVIRONMENT: UsageHour.environment_id,
    Group.AGENT: UsageHour.agent_id,
    Group.PROVIDER: UsageHour.provider,
    Group.MODEL: UsageHour.model,
}
_SUMMED = (
    "calls",
    "failed_calls",
    "unpriced_calls",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cost_usd",
)


@dataclass(frozen=True, slots=True)
class ExecutionUsage:
    """What the model calls of one execution used. A cost of None is unknown; `calls` are those that succeeded."""

    any: bool
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None


async def summed(
    session: AsyncSession,
    page: Page,
    *,
    since: datetime,
    until: datetime,
    group_by: Collection[Group],
    bucket: Bucket | None,
    equal: Mapping[str, Any],
) -> list[Mapping[str, Any]]:
    """A page of usage in the whole hours from that of `since` to that of `until`, the newest first.

    `equal` are columns and what they must be; None admits everything.
    """
    groups = [_GROUPED[group] for group in Group if group in group_by]
    starts_at = _starts_at(bucket)
    statement = select(
        starts_at.label("starts_at"),
        *(column if group in group_by else null().label(column.key) for group, column in _GROUPED.items()),
        *(func.coalesce(func.sum(getattr(UsageHour, name)), 0).label(name) for name in _SUMMED),
        func.coalesce(starts_at, func.to_timestamp(0)).label("moment"),
        func.md5(cast(func.jsonb_build_array(*groups), Text)).label("key"),
    ).where(UsageHour.hour >= func.date_trunc("hour", since, "UTC"), UsageHour.hour < until)
    for name, value in equal.items():
        if value is not None:
            statement = statement.where(getattr(UsageHour, name) == value)
    named = [*([starts_at] if bucket else []), *groups]
    used = statement.group_by(*named).having(func.count() > 0)
    return await page.fetch_keyed(session, used.subquery())


async def of_execution(session: AsyncSession, execution_id: UUID) -> ExecutionUsage:
    """What an execution used itself, without those that it started."""
    found = (
        await session.execute(
            select(
                func.count(),
                func.count().filter(ModelCall.outcome == "completed"),
                func.coalesce(func.sum(ModelCall.input_tokens), 0),
                func.coalesce(func.sum(ModelCall.output_tokens), 0),
                func.sum(ModelCall.cost_usd),
                func.bool_or(ModelCall.cost_usd.is_(None) & (ModelCall.outcome != "refused")),
            ).where(ModelCall.execution_id == execution_id, ModelCall.outcome != "running")
        )
    ).one()
    ended, calls, read, written, cost, unpriced = found
    return ExecutionUsage(ended > 0, calls, int(read), int(written), None if unpriced else cost)


def _starts_at(bucket: Bucket | None) -> ColumnElement[Any]:
    if bucket is None:
        return cast(null(), DateTime(timezone=True))
    return func.date_trunc(literal_column(f"'{bucket.value}'"), UsageHour.hour, literal_column("'UTC'"))

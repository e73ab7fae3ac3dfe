"""Storing and reading the events of an execution."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.events.models import Event
from control_plane.wire.executions import EventType
from control_plane.wire.mending import mended

CHANNEL = "execution_events"
"""PostgreSQL notification channel; the payload is the execution's id."""


# One round trip for any number of events. Whoever follows reads what is stored before listening, so that nobody can be
# waiting for the first events; a notification would make all transactions of the database commit one after the other.
_STORE = text(
    "WITH stored AS ("
    " INSERT INTO events (organization_id, execution_id, number, type, data)"
    " SELECT :organization_id, :execution_id, :after + position, event ->> 'type', event -> 'data'"
    " FROM jsonb_array_elements(CAST(:told AS jsonb)) WITH ORDINALITY AS given (event, position))"
    " SELECT pg_notify(:channel, CAST(:execution_id AS text)) WHERE :after > 0"
).bindparams(bindparam("organization_id", type_=Uuid), bindparam("execution_id", type_=Uuid))


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event before it has a number."""

    type: EventType
    data: dict[str, Any]
    occurred_at: datetime = field(default_factory=lambda: datetime.now(UTC))


async def store(
    session: AsyncSession, *, organization_id: UUID, execution_id: UUID, after: int, events: Sequence[NewEvent]
) -> None:
    """Store events as numbers `after + 1` onwards and tell whoever follows the execution, once this is committed.

    The caller holds the lock on the execution's row, which makes the numbers gap-free.
    """
    told = [
        {"type": event.type, "data": mended({**event.data, "timestamp": event.occurred_at.isoformat()})}
        for event in events
    ]
    await session.execute(
        _STORE,
        {
            "organization_id": organization_id,
            "execution_id": execution_id,
            "after": after,
            "told": json.dumps(told),
            "channel": CHANNEL,
        },
    )


async def read(session: AsyncSession, execution_id: UUID, *, after: int, limit: int) -> list[Event]:
    """The events of an execution with numbers above `after`, in order, at most `limit`."""
    statement = (
        select(Event)
        .where(Event.execution_id == execution_id, Event.number > after)
        .order_by(Event.number)
        .limit(limit)
    )
    return list(await session.scalars(statement))


async def told_in_full(session: AsyncSession, execution_id: UUID, *, up_to: int) -> bool:
    """Whether the event that ends the execution, after which none can follow, is among those numbered `up_to` or less.

    One with a higher number may have been stored since the caller read, and has yet to be told.
    """
    ended = (
        select(Event.number)
        .where(Event.execution_id == execution_id, Event.type == EventType.DONE, Event.number <= up_to)
        .limit(1)
    )
    return await session.scalar(ended) is not None

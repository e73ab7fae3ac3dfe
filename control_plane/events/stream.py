"""Server-sent events: the story of an execution as it happens, without a gap, from wherever the reader left off."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

from sse_starlette import ServerSentEvent

from control_plane.db import Database
from control_plane.events import service as events
from control_plane.events.notifications import Notifications
from control_plane.wire.executions import EventType

_BATCH = 500
_LOOK_AGAIN_AFTER = 5.0
"""Seconds after which the table is read even without a notification, in case one was missed while reconnecting."""


async def follow(
    database: Database,
    notifications: Notifications,
    *,
    organization_id: UUID,
    execution_id: UUID,
    after: int,
    allowed: Callable[[], Awaitable[bool]],
) -> AsyncIterator[ServerSentEvent]:
    """Every event numbered above `after`, in order, each once, until the one that ends the execution.

    It also ends when `allowed` says no: a stream may outlive the credential that opened it.
    """
    with notifications.subscribe(execution_id) as wake:
        while True:
            wake.clear()
            if not await allowed():
                return
            async with database.tenant(organization_id) as session:
                batch = await events.read(session, execution_id, after=after, limit=_BATCH)
                over = not batch and await events.told_in_full(session, execution_id, up_to=after)
            if over:
                return
            for event in batch:
                after = event.number
                yield ServerSentEvent(
                    data=json.dumps(event.data, ensure_ascii=False, separators=(",", ":")),
                    event=event.type,
                    id=str(event.number),
                    sep="\n",
                )
                if event.type == EventType.DONE:
                    return
            if len(batch) < _BATCH:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), _LOOK_AGAIN_AFTER)

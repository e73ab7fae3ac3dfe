"""Waking workers: those of an environment wait here until an execution is there for them to claim.

Nothing depends on it. What is offered stands in the database, and every request looks there first: whoever missed being
woken finds it with the next one.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.auth.principals import WorkerPrincipal
from control_plane.db import Database
from control_plane.events.notifications import Notifications
from control_plane.executions.models import Execution
from control_plane.executions.state import Status
from control_plane.problems import Conflict
from control_plane.wire.executions import Offer
from control_plane.worker_queues.models import DEFAULT_QUEUE, WorkerQueue
from control_plane.worker_queues.waking import CHANNEL

LONGEST_WAIT = timedelta(seconds=55)
"""Proxies give up on an answer after a minute."""


class QueueBusy(Conflict):
    """The worker queue is paused, or as many of its executions run as its limit allows. Leave it for later."""

    code, title = "queue_busy", "The worker queue takes no execution now"


async def admit(session: AsyncSession, execution: Execution) -> None:
    """Hold a claim to the limits of the worker queue. Raises `QueueBusy`."""
    queue = await _queue(session, execution.environment_id)
    if queue is None:
        return
    if queue.concurrency_limit is not None and not queue.paused:
        # Of two claims at once, the second counts when the first is committed.
        await session.refresh(queue, with_for_update=True)
    if await _room(session, queue) == 0:
        raise QueueBusy("The worker queue is paused, or as many of its executions run as its limit allows.")


async def offered(session: AsyncSession, environment_id: UUID, *, most: int) -> list[Offer]:
    """The executions that a worker of the environment may claim now, the oldest first."""
    queue = await _queue(session, environment_id)
    room = None if queue is None else await _room(session, queue)
    if room == 0:
        return []
    statement = (
        select(Execution.id, Execution.flow_run_id)
        .where(
            Execution.environment_id == environment_id,
            Execution.status == Status.SCHEDULED,
            Execution.flow_run_id.is_not(None),
        )
        .order_by(Execution.created_at, Execution.id)
        .limit(most if room is None else min(most, room))
    )
    return [Offer(execution_id=found.id, flow_run_id=found.flow_run_id) for found in await session.execute(statement)]


async def wait(
    database: Database,
    notifications: Notifications,
    worker: WorkerPrincipal,
    *,
    most: int,
    seconds: float,
    present: Callable[[], Awaitable[bool]],
) -> list[Offer]:
    """What there is to claim, as soon as there is something; nothing when `seconds` have passed.

    Nothing either when this process is about to end.
    While it waits it holds no connection to the database. `present` says whether somebody still waits for the answer:
    one that doesn't passes the wake on.
    """
    deadline = time.monotonic() + seconds
    with notifications.take_turns(CHANNEL, worker.environment_id) as turn:
        while True:
            turn.wake.clear()
            if not await present():
                turn.pass_on()
                return []
            async with database.tenant(worker.organization_id) as session:
                offers = await offered(session, worker.environment_id, most=most)
            left = deadline - time.monotonic()
            if offers or left <= 0 or notifications.ending:
                return offers
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(turn.wake.wait(), left)


async def _queue(session: AsyncSession, environment_id: UUID) -> WorkerQueue | None:
    # No execution names another queue yet.
    statement = select(WorkerQueue).where(
        WorkerQueue.environment_id == environment_id, WorkerQueue.name == DEFAULT_QUEUE
    )
    return await session.scalar(statement)


async def _room(session: AsyncSession, queue: WorkerQueue) -> int | None:
    """How many executions more the queue takes; None: any number."""
    if queue.paused:
        return 0
    if queue.concurrency_limit is None:
        return None
    running = select(func.count()).where(
        Execution.environment_id == queue.environment_id, Execution.status == Status.RUNNING
    )
    return max(queue.concurrency_limit - (await session.execute(running)).scalar_one(), 0)

"""Waking workers: those of an environment wait here until an execution is there for them to claim.

Nothing depends on it. What is offered stands in the database, and every request looks there first: whoever missed being
woken finds it with the next one.

An execution lends its place to one of those below it in the same environment, since it waits for what it has started.
An environment with one place would otherwise never answer an agent that asks another. To others the place isn't free:
however many wait, in each place one works.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ScalarSelect, Select, any_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from control_plane.auth.credentials import Credential
from control_plane.auth.principals import Kind, WorkerPrincipal
from control_plane.db import Database
from control_plane.events.notifications import Notifications
from control_plane.executions.models import Execution
from control_plane.executions.state import Status
from control_plane.problems import Conflict
from control_plane.wire.executions import Offer
from control_plane.worker_queues import waking
from control_plane.worker_queues.models import DEFAULT_QUEUE, WorkerQueue
from control_plane.worker_queues.waking import CHANNEL

LONGEST_WAIT = timedelta(seconds=55)
"""Proxies give up on an answer after a minute."""


class QueueBusy(Conflict):
    """The worker queue is paused, or as many of its executions run as its limit allows. Leave it for later."""

    code, title = "queue_busy", "The worker queue takes no execution now"


_ANCESTOR, _BORROWER = aliased(Execution), aliased(Execution)


def _lender(session_id: UUID | None = None) -> ScalarSelect[UUID]:
    """In whose place an execution can run: the nearest above it that runs in its environment and has lent it to none.

    With `session_id` only of those that this session of a worker carries out.
    """
    lent = select(_BORROWER.id).where(
        _BORROWER.lent_by_execution_id == _ANCESTOR.id, _BORROWER.status == Status.RUNNING
    )
    statement = select(_ANCESTOR.id).where(
        _ANCESTOR.id == any_(Execution.ancestor_ids),
        _ANCESTOR.environment_id == Execution.environment_id,
        _ANCESTOR.status == Status.RUNNING,
        ~lent.exists(),
    )
    if session_id is not None:
        statement = statement.where(_token_of(session_id).exists())
    return statement.order_by(_ANCESTOR.depth.desc()).limit(1).correlate(Execution).scalar_subquery()


def _token_of(session_id: UUID) -> Select[UUID]:
    return select(Credential.id).where(
        Credential.execution_id == _ANCESTOR.id,
        Credential.kind == Kind.EXECUTION_TOKEN,
        Credential.worker_id == session_id,
    )


async def admit(session: AsyncSession, execution: Execution) -> None:
    """Hold a claim to the limits of the worker queue, and note in whose place it runs. Raises `QueueBusy`."""
    queue = await _queue(session, execution.environment_id)
    if queue is not None and queue.concurrency_limit is not None and not queue.paused:
        # Of two claims at once, the second counts when the first is committed.
        await session.refresh(queue, with_for_update=True)
    if execution.ancestor_ids:
        lender = select(_lender()).where(Execution.id == execution.id)
        execution.lent_by_execution_id = await session.scalar(lender)
    if queue is None or (execution.lent_by_execution_id is not None and not queue.paused):
        return
    if await _room(session, queue) == 0:
        raise QueueBusy("The worker queue is paused, or as many of its executions run as its limit allows.")


async def offered(session: AsyncSession, environment_id: UUID, *, most: int) -> list[Offer]:
    """The executions that a worker of the environment may claim now, the oldest first."""
    queue = await _queue(session, environment_id)
    room = None if queue is None else await _room(session, queue)
    if queue is not None and queue.paused:
        return []
    found = await _scheduled(session, environment_id, lender=_lender(), most=most if room is None else min(most, room))
    if room is None or len(found) == most:
        return found
    known = {offer.execution_id for offer in found}
    lent = await _scheduled(session, environment_id, lender=_lender(), most=most, only_lent=True)
    return (found + [offer for offer in lent if offer.execution_id not in known])[:most]


async def offered_in_place(session: AsyncSession, worker: WorkerPrincipal, *, most: int) -> list[Offer]:
    """Those that may take the place of an execution which this worker carries out, and which waits for them."""
    queue = await _queue(session, worker.environment_id)
    if queue is not None and queue.paused:
        return []
    lender = _lender(worker.session_id)
    return await _scheduled(session, worker.environment_id, lender=lender, most=most, only_lent=True)


async def _scheduled(
    session: AsyncSession, environment_id: UUID, *, lender: ScalarSelect[UUID], most: int, only_lent: bool = False
) -> list[Offer]:
    if most == 0:
        return []
    statement = (
        select(Execution.id, Execution.flow_run_id, lender.label("lender"))
        .where(
            Execution.environment_id == environment_id,
            Execution.status == Status.SCHEDULED,
            Execution.flow_run_id.is_not(None),
        )
        .order_by(Execution.created_at, Execution.id)
        .limit(most)
    )
    if only_lent:
        statement = statement.where(Execution.depth > 0, lender.is_not(None))
    return [
        Offer(execution_id=found.id, flow_run_id=found.flow_run_id, in_place_of=found.lender)
        for found in await session.execute(statement)
    ]


async def tell_lenders(session: AsyncSession, execution: Execution) -> None:
    """Wake the workers that carry out what stands above an execution: it may be able to take such a place."""
    if not execution.ancestor_ids:
        return
    statement = (
        select(Credential.worker_id)
        .join(Execution, Execution.id == Credential.execution_id)
        .where(
            Credential.execution_id.in_(execution.ancestor_ids),
            Credential.worker_id.is_not(None),
            Execution.status == Status.RUNNING,
        )
        .distinct()
    )
    for session_id in (await session.scalars(statement)).all():
        if session_id is not None:
            await waking.tell(session, session_id)


async def wait(
    database: Database,
    notifications: Notifications,
    worker: WorkerPrincipal,
    *,
    most: int,
    seconds: float,
    in_place: bool,
    present: Callable[[], Awaitable[bool]],
) -> list[Offer]:
    """What there is to claim, as soon as there is something; nothing when `seconds` have passed.

    Nothing either when this process is about to end.
    `in_place` asks for what can run in the place of an execution that this worker carries out already.
    While it waits it holds no connection to the database. `present` says whether somebody still waits for the answer:
    one that doesn't passes the wake on.
    """
    deadline = time.monotonic() + seconds
    with notifications.take_turns(CHANNEL, worker.session_id if in_place else worker.environment_id) as turn:
        while True:
            turn.wake.clear()
            if not await present():
                turn.pass_on()
                return []
            async with database.tenant(worker.organization_id) as session:
                if in_place:
                    offers = await offered_in_place(session, worker, most=most)
                else:
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
    # What runs in the place of another counts when that has ended.
    lending = select(_ANCESTOR.id).where(
        _ANCESTOR.id == Execution.lent_by_execution_id, _ANCESTOR.status == Status.RUNNING
    )
    running = select(func.count()).where(
        Execution.environment_id == queue.environment_id,
        Execution.status == Status.RUNNING,
        or_(Execution.lent_by_execution_id.is_(None), ~lending.exists()),
    )
    return max(queue.concurrency_limit - (await session.execute(running)).scalar_one(), 0)

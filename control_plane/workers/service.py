"""Workers as people see them: who is there, who is to stop, who must go."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, not_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.auth.credentials import Credential
from control_plane.db import now
from control_plane.pagination import Page
from control_plane.problems import NotFound
from control_plane.settings import Settings
from control_plane.wire.joining import HEARTBEATS_MISSED
from control_plane.worker_queues import service as worker_queues
from control_plane.workers.models import Worker
from control_plane.workers.schemas import WorkerRead, WorkerStatus


async def get(session: AsyncSession, worker_id: UUID, *, lock: bool = False) -> Worker:
    """One worker, locked until the transaction ends if asked. Raises `NotFound`."""
    statement = select(Worker).where(Worker.id == worker_id)
    worker = await session.scalar(statement.with_for_update(key_share=True) if lock else statement)
    if worker is None:
        raise NotFound.of("worker", worker_id)
    return worker


async def listed(
    session: AsyncSession,
    page: Page,
    *,
    settings: Settings,
    environment_id: UUID | None = None,
    worker_queue_id: UUID | None = None,
    status: WorkerStatus | None = None,
) -> list[Worker]:
    """A page of workers."""
    statement = select(Worker)
    if environment_id is not None:
        statement = statement.where(Worker.environment_id == environment_id)
    if worker_queue_id is not None:
        statement = statement.where(Worker.worker_queue_id == worker_queue_id)
    if status is not None:
        statement = statement.where(_has(status, settings))
    return await page.fetch(session, statement, Worker)


async def listed_in(session: AsyncSession, queue_id: UUID, page: Page, *, settings: Settings) -> list[Worker]:
    """A page of the workers of one queue. Raises `NotFound`."""
    queue = await worker_queues.get(session, queue_id)
    return await listed(session, page, settings=settings, worker_queue_id=queue.id)


async def drain(session: AsyncSession, worker: Worker) -> Worker:
    """Have a locked worker take nothing new, finish what it has, and leave. It learns that with its next heartbeat."""
    if worker.drain_requested_at is None:
        worker.drain_requested_at = await now(session)
        await session.flush()
    return worker


async def revoke(session: AsyncSession, worker: Worker) -> Worker:
    """End the session of a locked worker and its right to everything that it carries out."""
    moment = await now(session)
    worker.ended_at = worker.ended_at or moment
    await session.execute(
        update(Credential)
        .where(Credential.worker_id == worker.id, Credential.revoked_at.is_(None))
        .values(revoked_at=moment)
    )
    await session.flush()
    return worker


def alive(settings: Settings) -> ColumnElement[bool]:
    """The condition that a worker has a session and has been heard of lately."""
    moment = func.clock_timestamp()
    return and_(
        Worker.ended_at.is_(None),
        Worker.session_expires_at > moment,
        Worker.last_seen_at > moment - settings.worker_heartbeat * HEARTBEATS_MISSED,
    )


def _has(status: WorkerStatus, settings: Settings) -> ColumnElement[bool]:
    match status:
        case WorkerStatus.ONLINE:
            return and_(alive(settings), Worker.drain_requested_at.is_(None))
        case WorkerStatus.DRAINING:
            return and_(alive(settings), Worker.drain_requested_at.is_not(None))
        case WorkerStatus.OFFLINE:
            return not_(alive(settings))


async def read(session: AsyncSession, *workers: Worker, settings: Settings) -> list[WorkerRead]:
    """Workers as people see them now."""
    moment = await now(session)
    return [WorkerRead.of(worker, status=_status(worker, moment, settings)) for worker in workers]


def _status(worker: Worker, moment: datetime, settings: Settings) -> WorkerStatus:
    silent = moment - worker.last_seen_at >= settings.worker_heartbeat * HEARTBEATS_MISSED
    if worker.ended_at is not None or worker.session_expires_at <= moment or silent:
        return WorkerStatus.OFFLINE
    return WorkerStatus.ONLINE if worker.drain_requested_at is None else WorkerStatus.DRAINING

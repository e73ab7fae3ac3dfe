"""Worker queues. Each change reaches the orchestrator by way of the reconciler."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.environments import service as environments
from control_plane.environments.models import Environment
from control_plane.pagination import Page
from control_plane.problems import AlreadyExists, Conflict, Invalid, NotFound
from control_plane.worker_queues import waking
from control_plane.worker_queues.models import DEFAULT_QUEUE, WorkerQueue
from control_plane.worker_queues.schemas import QueueCreate, WorkerQueueCreate, WorkerQueuePatch

MOST = 100
"""Queues of one environment. The orchestrator lists no more than 200 at once."""


async def create(session: AsyncSession, body: WorkerQueueCreate) -> WorkerQueue:
    """A new queue in the environment that the body names. Raises `Invalid`, `AlreadyExists`, `Conflict`."""
    try:
        environment = await environments.get(session, body.environment_id, lock=True)
    except NotFound as error:
        raise Invalid(error.detail, location="body.environment_id") from error
    return await _create(session, environment, body)


async def create_in(session: AsyncSession, environment_id: UUID, body: QueueCreate) -> WorkerQueue:
    """A new queue in this environment. Raises `NotFound`, `AlreadyExists`, `Conflict`."""
    return await _create(session, await environments.get(session, environment_id, lock=True), body)


async def _create(session: AsyncSession, environment: Environment, body: QueueCreate) -> WorkerQueue:
    slug = environment.slug  # after a refusal the row can't be read any more
    present = select(func.count()).select_from(WorkerQueue).where(WorkerQueue.environment_id == environment.id)
    if (await session.scalar(present) or 0) >= MOST:
        raise Conflict(f"{slug} has {MOST} queues, which is the most an environment can have.")
    queue = WorkerQueue(
        organization_id=environment.organization_id,
        project_id=environment.project_id,
        environment_id=environment.id,
        **body.model_dump(exclude={"environment_id"}),
    )
    session.add(queue)
    try:
        await session.flush()
    except IntegrityError as error:
        raise AlreadyExists(f"There is a queue {body.name} in {slug}. Choose another name.") from error
    await environments.pool_changed(session, environment.id)
    return queue


async def get(session: AsyncSession, queue_id: UUID, *, lock: bool = False) -> WorkerQueue:
    """One queue, locked until the transaction ends if asked. Raises `NotFound`."""
    statement = select(WorkerQueue).where(WorkerQueue.id == queue_id)
    queue = await session.scalar(statement.with_for_update(key_share=True) if lock else statement)
    if queue is None:
        raise NotFound.of("worker queue", queue_id)
    return queue


async def listed(
    session: AsyncSession, page: Page, *, environment_id: UUID | None, name: str | None
) -> list[WorkerQueue]:
    """A page of queues."""
    statement = select(WorkerQueue)
    if environment_id is not None:
        statement = statement.where(WorkerQueue.environment_id == environment_id)
    if name is not None:
        statement = statement.where(WorkerQueue.name == name)
    return await page.fetch(session, statement, WorkerQueue)


async def listed_in(session: AsyncSession, environment_id: UUID, page: Page) -> list[WorkerQueue]:
    """A page of the queues of one environment. Raises `NotFound`."""
    environment = await environments.get(session, environment_id)
    return await listed(session, page, environment_id=environment.id, name=None)


async def change(session: AsyncSession, queue: WorkerQueue, body: WorkerQueuePatch) -> WorkerQueue:
    """Merge changes into a locked queue."""
    for name, value in body.changes().items():
        setattr(queue, name, value)
    await session.flush()
    await environments.pool_changed(session, queue.environment_id)
    # It may go on, or take more than before.
    await waking.tell(session, queue.environment_id)
    return queue


async def remove(session: AsyncSession, queue: WorkerQueue) -> None:
    """Delete a locked queue. Raises `Conflict` for the default queue."""
    if queue.name == DEFAULT_QUEUE:
        raise Conflict("The default queue stays as long as its environment. Pause it if nothing may be started by it.")
    await session.delete(queue)
    await session.flush()
    await environments.pool_changed(session, queue.environment_id)

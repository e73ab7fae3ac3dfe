"""Work pools follow environments: the missing are made, the changed are changed, the abandoned are removed."""

import logging
from uuid import UUID

from sqlalchemy import case, delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db import Database
from control_plane.environments.models import Environment
from control_plane.organizations.models import AbandonedWorkPool
from control_plane.worker_queues.models import WorkerQueue
from deployments.orchestrator import Orchestrator, OrchestratorRefused, Queue

logger = logging.getLogger(__name__)


async def mirror(database: Database, orchestrator: Orchestrator) -> None:
    """Bring the orchestrator's work pools up to date. Safe to repeat and to run in many processes at once.

    Raises `OrchestratorUnavailable`; what isn't done by then is still to be done.
    """
    async with database.tenant(None) as session:
        outdated = (await session.execute(text("SELECT organization_id, id FROM unprovisioned_environments()"))).all()
        abandoned = (await session.scalars(select(AbandonedWorkPool))).all()
    for organization_id, environment_id in outdated:
        try:
            async with database.tenant(organization_id) as session:
                await _provision(session, orchestrator, environment_id)
        except OrchestratorRefused as error:
            # One environment that can't be provisioned must not keep the others of all tenants waiting.
            logger.error("environment %s can't be provisioned: %s", environment_id, error)  # noqa: TRY400 - said
    for pool in abandoned:
        async with database.tenant(None) as session:
            await _remove(session, orchestrator, pool)


async def _provision(session: AsyncSession, orchestrator: Orchestrator, environment_id: UUID) -> None:
    work_pool = await session.scalar(select(Environment.work_pool).where(Environment.id == environment_id))
    if work_pool is None or not await _alone(session, work_pool):
        return
    # Read only now: until we were alone, somebody may have deleted it or brought it up to date.
    environment = await session.scalar(
        select(Environment).where(
            Environment.id == environment_id, Environment.provisioned_version < Environment.pool_version
        )
    )
    if environment is None:
        return
    queues = await session.scalars(
        select(WorkerQueue)
        .where(WorkerQueue.environment_id == environment_id)
        .order_by(WorkerQueue.priority, WorkerQueue.created_at, WorkerQueue.id)
    )
    await orchestrator.ensure_environment(
        work_pool,
        [
            Queue(queue.name, queue.description, concurrency_limit=queue.concurrency_limit, paused=queue.paused)
            for queue in queues
        ],
    )
    await session.execute(
        update(Environment)
        .where(Environment.id == environment_id)
        .values(
            provisioned_version=environment.pool_version,
            provisioned_at=func.coalesce(Environment.provisioned_at, func.clock_timestamp()),
            # People see that it is ready, and nothing of later changes to its queues.
            updated_at=case(
                (Environment.provisioned_at.is_(None), func.clock_timestamp()), else_=Environment.updated_at
            ),
        )
        .execution_options(synchronize_session=False)
    )


async def _remove(session: AsyncSession, orchestrator: Orchestrator, pool: AbandonedWorkPool) -> None:
    if not await _alone(session, pool.work_pool):
        return
    # Nobody makes an environment of this name before the entry is gone, so the pool can't be in use again. But another
    # process may have been here since we read the entry.
    if await session.scalar(select(AbandonedWorkPool.id).where(AbandonedWorkPool.id == pool.id)) is None:
        return
    if await orchestrator.remove_environment(pool.work_pool):
        await session.execute(delete(AbandonedWorkPool).where(AbandonedWorkPool.id == pool.id))


async def _alone(session: AsyncSession, work_pool: str) -> bool:
    """Whether nobody else is at work on this pool until the transaction ends."""
    key = func.hashtextextended(work_pool, 0)
    return bool(await session.scalar(select(func.pg_try_advisory_xact_lock(key))))

"""A worker's session: joining, staying, leaving.

The token of a session stays the same for as long as the session lives; renewing moves its end. Whoever renews shows
what the worker joined with, so a token alone can't be kept alive, and a revoked key ends all sessions it began.
"""

from datetime import datetime, timedelta
from uuid import UUID

from packaging.version import InvalidVersion, Version
from sqlalchemy import Update, delete, func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane import __version__
from control_plane.auth.credentials import Credential, Hasher, issue
from control_plane.auth.principals import Kind, Principal, WorkerPrincipal
from control_plane.client import API_PREFIX
from control_plane.db import now
from control_plane.environments import service as environments
from control_plane.environments.models import Environment
from control_plane.problems import Conflict, Forbidden, NotFound
from control_plane.settings import Settings
from control_plane.wire.joining import (
    LIFE_LEFT_AT_RENEWAL,
    HeartbeatAnswer,
    JoinedQueue,
    JoinRequest,
    SessionRenewal,
    WorkerHeartbeat,
    WorkerSession,
    WorkerSettings,
)
from control_plane.wire.mending import mended
from control_plane.worker_queues import service as worker_queues
from control_plane.worker_queues.models import DEFAULT_QUEUE, WorkerQueue
from control_plane.workers import join_tokens
from control_plane.workers.models import Worker
from control_plane.workers.service import alive

_REMEMBERED = timedelta(days=1)
"""How long people still see a worker that is gone."""


class WorkerVersionRefused(Conflict):
    """This server doesn't work with workers of that version. Install one that it accepts."""

    code, title = "worker_version_refused", "The worker's version isn't accepted"


class TooManyWorkers(Conflict):
    """The environment or the queue has as many workers online as its `max_workers` allows."""

    code, title = "too_many_workers", "There are enough workers"


class SessionEnded(Conflict):
    """The worker has left, or was revoked. Join again, if that is still allowed."""

    code, title = "session_ended", "The session has ended"


async def start_in_pool(
    session: AsyncSession,
    principal: Principal,
    work_pool: str,
    request: JoinRequest,
    *,
    hasher: Hasher,
    settings: Settings,
) -> WorkerSession:
    """Join by the name of a work pool, in the queue that is asked for. Raises as `start` does."""
    environment = await session.scalar(select(Environment).where(Environment.work_pool == work_pool))
    if environment is None or not _opens(principal, environment.id):
        raise NotFound.of("work pool", work_pool)
    name = request.worker_queue or DEFAULT_QUEUE
    queue = await session.scalar(
        select(WorkerQueue).where(WorkerQueue.environment_id == environment.id, WorkerQueue.name == mended(name))
    )
    if queue is None:
        raise NotFound.of("worker queue", name)
    return await _start(session, principal, environment, queue, request, hasher=hasher, settings=settings)


async def start(
    session: AsyncSession,
    principal: Principal,
    queue_id: UUID,
    request: JoinRequest,
    *,
    hasher: Hasher,
    settings: Settings,
) -> WorkerSession:
    """Join a queue. Raises `NotFound`, `WorkerVersionRefused`, `TooManyWorkers`, `JoinTokenUsed`."""
    queue = await worker_queues.get(session, queue_id)
    if not _opens(principal, queue.environment_id):
        raise NotFound.of("worker queue", queue_id)
    environment = await environments.get(session, queue.environment_id)
    return await _start(session, principal, environment, queue, request, hasher=hasher, settings=settings)


def _opens(principal: Principal, environment_id: UUID) -> bool:
    # An API key opens what its roles let it see, which the rows' policies have seen to.
    return principal.environment_id in {None, environment_id}


async def _start(
    session: AsyncSession,
    principal: Principal,
    environment: Environment,
    queue: WorkerQueue,
    request: JoinRequest,
    *,
    hasher: Hasher,
    settings: Settings,
) -> WorkerSession:
    key_id = principal.credential_id
    if key_id is None:
        raise Forbidden("A worker joins with a worker key, a join token or an API key.")
    _check_version(request.version, settings)
    if principal.kind is Kind.JOIN_TOKEN:
        await join_tokens.redeem(session, key_id)
    await _check_room(session, environment, queue, settings)
    await _forget_who_is_gone(session, environment.id)
    moment = await now(session)
    expires_at = await _end(session, key_id, moment, settings)
    worker = Worker(
        organization_id=environment.organization_id,
        project_id=environment.project_id,
        environment_id=environment.id,
        worker_queue_id=queue.id,
        credential_id=key_id,
        joined_with=principal.label,
        slots=request.slots,
        last_seen_at=moment,
        session_expires_at=expires_at,
        **mended(request.model_dump(exclude={"slots", "worker_queue"})),
    )
    session.add(worker)
    queue_id = queue.id  # after a refusal the row can't be read any more
    try:
        await session.flush()
    except IntegrityError as error:
        raise NotFound.of("worker queue", queue_id) from error
    issued = issue(
        session,
        hasher,
        kind=Kind.WORKER_SESSION,
        organization_id=worker.organization_id,
        name=worker.name,
        created_by=principal.label,
        environment_id=environment.id,
        worker_id=worker.id,
        expires_at=expires_at,
    )
    await session.flush()
    api_url = f"{str(settings.public_url).rstrip('/')}{API_PREFIX}"
    return WorkerSession(
        session_id=worker.id,
        session_token=issued.secret,
        expires_at=expires_at,
        renew_after_seconds=_renew_after(moment, expires_at),
        organization_id=environment.organization_id,
        environment_id=environment.id,
        work_pool=environment.work_pool,
        worker_queue=JoinedQueue(id=queue.id, name=queue.name),
        prefect_api_url=f"{api_url}/prefect/api",
        llm_url=f"{api_url}/llm",
        server_version=__version__,
        settings=WorkerSettings(
            heartbeat_seconds=settings.worker_heartbeat.total_seconds(),
            concurrency_limit=queue.concurrency_limit,
            max_workers=queue.max_workers,
        ),
    )


def _check_version(version: str, settings: Settings) -> None:
    least = settings.minimum_worker_version
    try:
        accepted = Version(version) >= Version(least)
    except InvalidVersion:
        accepted = False
    if not accepted:
        raise WorkerVersionRefused(
            f"This control plane ({__version__}) accepts workers from version {least} on; this one is"
            f" {mended(version)}. Install a newer agent-control-plane on the worker's machine."
        )


async def _check_room(session: AsyncSession, environment: Environment, queue: WorkerQueue, settings: Settings) -> None:
    if environment.max_workers is None and queue.max_workers is None:
        return
    # One after the other, or two would find the same last place. Not by locking the rows: others change those.
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('workers of ' || :environment, 0))"),
        {"environment": str(environment.id)},
    )
    online = select(func.count()).select_from(Worker).where(alive(settings))
    for place, most, condition in (
        (f"The environment {environment.slug}", environment.max_workers, Worker.environment_id == environment.id),
        (f"The worker queue {queue.name}", queue.max_workers, Worker.worker_queue_id == queue.id),
    ):
        if most is not None and (await session.scalar(online.where(condition)) or 0) >= most:
            raise TooManyWorkers(
                f"{place} has {most} workers online, which is its max_workers. Stop one, or raise the limit."
            )


async def _forget_who_is_gone(session: AsyncSession, environment_id: UUID) -> None:
    long_ago = func.clock_timestamp() - _REMEMBERED
    await session.execute(
        delete(Worker).where(Worker.environment_id == environment_id, Worker.session_expires_at < long_ago)
    )
    await session.execute(
        delete(Credential).where(
            Credential.environment_id == environment_id,
            Credential.kind.in_((Kind.WORKER_SESSION, Kind.JOIN_TOKEN)),
            Credential.expires_at < long_ago,
        )
    )


async def _end(session: AsyncSession, key_id: UUID, moment: datetime, settings: Settings) -> datetime:
    """When a session that is begun or renewed now is over: never after what the worker joined with."""
    end = moment + settings.worker_session_lifetime
    key_ends: datetime | None = await session.scalar(select(Credential.expires_at).where(Credential.id == key_id))
    return min(key_ends, end) if key_ends else end


def _renew_after(moment: datetime, expires_at: datetime) -> float:
    return (expires_at - moment).total_seconds() * (1 - LIFE_LEFT_AT_RENEWAL)


async def renew(session: AsyncSession, principal: Principal, session_id: UUID, *, settings: Settings) -> SessionRenewal:
    """Move the end of a session that began with this very credential, even if it is over already.

    Raises `NotFound` for the sessions of other keys, `SessionEnded` once the worker has left or was revoked.
    """
    worker = await session.scalar(
        select(Worker)
        .where(Worker.id == session_id, Worker.credential_id == principal.credential_id)
        .with_for_update(key_share=True)
    )
    if worker is None:
        raise NotFound.of("worker session", session_id)
    if worker.ended_at is not None:
        raise SessionEnded("The worker has left or was revoked. Start it again, if that is wanted.")
    moment = await now(session)
    expires_at = await _end(session, worker.credential_id, moment, settings)
    worker.session_expires_at = expires_at
    await session.execute(_session_of(worker.id).values(expires_at=expires_at))
    await session.flush()
    return SessionRenewal(expires_at=expires_at, renew_after_seconds=_renew_after(moment, expires_at))


async def heartbeat(
    session: AsyncSession, worker: WorkerPrincipal, body: WorkerHeartbeat, *, settings: Settings
) -> HeartbeatAnswer:
    """Note a sign of life. Raises `SessionEnded`."""
    statement = (
        update(Worker)
        .where(Worker.id == worker.session_id, Worker.ended_at.is_(None))
        .values(last_seen_at=func.clock_timestamp(), **body.model_dump())
        .returning(Worker.drain_requested_at.is_not(None))
        .execution_options(synchronize_session=False)
    )
    drain = await session.scalar(statement)
    if drain is None:
        raise SessionEnded("The worker has left or was revoked.")
    return HeartbeatAnswer(drain=drain, heartbeat_seconds=settings.worker_heartbeat.total_seconds())


async def leave(session: AsyncSession, worker: WorkerPrincipal) -> None:
    """End the session. What the worker has claimed stays its own. Repeating it is harmless."""
    await session.execute(
        update(Worker)
        .where(Worker.id == worker.session_id, Worker.ended_at.is_(None))
        .values(ended_at=func.clock_timestamp())
    )
    await session.execute(_session_of(worker.session_id).values(revoked_at=func.clock_timestamp()))


def _session_of(worker_id: UUID) -> Update:
    return update(Credential).where(Credential.worker_id == worker_id, Credential.kind == Kind.WORKER_SESSION)

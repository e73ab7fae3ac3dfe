"""`/workers`, `/worker-queues/{queue_id}/workers` and `/environments/{environment_id}/join-tokens`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from control_plane.auth.credentials import revoke
from control_plane.auth.dependencies import (
    Db,
    Hashing,
    MayCreateWorkerKeys,
    MayReadWorkerKeys,
    MayReadWorkers,
    MayRevokeWorkerKeys,
    MayWriteWorkers,
)
from control_plane.auth.principals import Kind
from control_plane.environments import credentials
from control_plane.pagination import Paged
from control_plane.problems import NotFound, problems
from control_plane.settings import Settings
from control_plane.transactions import TenantRoute
from control_plane.workers import join_tokens
from control_plane.workers import service as workers
from control_plane.workers.schemas import JoinTokenCreate, JoinTokenIssued, JoinTokenRead, WorkerRead, WorkerStatus

router = APIRouter(tags=["workers"], route_class=TenantRoute)


async def settings_of(request: Request) -> Settings:
    """The server's settings."""
    settings: Settings = request.app.state.settings
    return settings


Configured = Annotated[Settings, Depends(settings_of)]


@router.get("/workers")
async def list_workers(
    _: MayReadWorkers,
    session: Db,
    page: Paged,
    settings: Configured,
    environment_id: Annotated[UUID | None, Query(description="Only those of this environment.")] = None,
    worker_queue_id: Annotated[UUID | None, Query(description="Only those of this queue.")] = None,
    status: Annotated[WorkerStatus | None, Query(description="Only those that are so at this moment.")] = None,
) -> list[WorkerRead]:
    """Workers, newest first. Who is gone is listed for another day."""
    found = await workers.listed(
        session, page, settings=settings, environment_id=environment_id, worker_queue_id=worker_queue_id, status=status
    )
    return await workers.read(session, *found, settings=settings)


@router.get("/worker-queues/{queue_id}/workers", responses=problems(NotFound))
async def list_workers_of_queue(
    queue_id: UUID, _: MayReadWorkers, session: Db, page: Paged, settings: Configured
) -> list[WorkerRead]:
    """The workers of this queue, newest first."""
    found = await workers.listed_in(session, queue_id, page, settings=settings)
    return await workers.read(session, *found, settings=settings)


@router.get("/workers/{worker_id}", responses=problems(NotFound))
async def get_worker(worker_id: UUID, _: MayReadWorkers, session: Db, settings: Configured) -> WorkerRead:
    """One worker."""
    (read,) = await workers.read(session, await workers.get(session, worker_id), settings=settings)
    return read


@router.post("/workers/{worker_id}/drain", responses=problems(NotFound))
async def drain_worker(worker_id: UUID, _: MayWriteWorkers, session: Db, settings: Configured) -> WorkerRead:
    """Let a worker finish what it has, take nothing new, and stop. It learns that with its next heartbeat."""
    drained = await workers.drain(session, await workers.get(session, worker_id, lock=True))
    (read,) = await workers.read(session, drained, settings=settings)
    return read


@router.post("/workers/{worker_id}/revoke", responses=problems(NotFound))
async def revoke_worker(worker_id: UUID, _: MayWriteWorkers, session: Db, settings: Configured) -> WorkerRead:
    """End a worker's session, and its right to what it is carrying out, within five seconds.

    With the key that it joined with it can come back: revoke that too, if the machine isn't to be trusted.
    """
    revoked = await workers.revoke(session, await workers.get(session, worker_id, lock=True))
    (read,) = await workers.read(session, revoked, settings=settings)
    return read


@router.post("/environments/{environment_id}/join-tokens", status_code=201, responses=problems(NotFound))
async def create_join_token(
    environment_id: UUID,
    body: JoinTokenCreate,
    principal: MayCreateWorkerKeys,
    session: Db,
    hasher: Hashing,
    response: Response,
) -> JoinTokenIssued:
    """Issue a token with which one worker can join this environment, once. It is in this answer and nowhere else."""
    issued = await join_tokens.create(session, principal, environment_id, body, hasher=hasher)
    response.headers["Location"] = f"/api/v1/environments/{environment_id}/join-tokens/{issued.credential.id}"
    return JoinTokenIssued.of(issued.credential, token=issued.secret)


@router.get("/environments/{environment_id}/join-tokens", responses=problems(NotFound))
async def list_join_tokens(environment_id: UUID, _: MayReadWorkerKeys, session: Db, page: Paged) -> list[JoinTokenRead]:
    """Join tokens of this environment, newest first, until a day after they have expired."""
    found = await credentials.listed(session, page, environment_id, kind=Kind.JOIN_TOKEN)
    return [JoinTokenRead.of(token) for token in found]


@router.get("/environments/{environment_id}/join-tokens/{join_token_id}", responses=problems(NotFound))
async def get_join_token(environment_id: UUID, join_token_id: UUID, _: MayReadWorkerKeys, session: Db) -> JoinTokenRead:
    """One join token."""
    return JoinTokenRead.of(await credentials.get(session, environment_id, join_token_id, kind=Kind.JOIN_TOKEN))


@router.delete(
    "/environments/{environment_id}/join-tokens/{join_token_id}", status_code=204, responses=problems(NotFound)
)
async def revoke_join_token(environment_id: UUID, join_token_id: UUID, _: MayRevokeWorkerKeys, session: Db) -> None:
    """Revoke a join token, and with it the session of whoever joined with it, within five seconds."""
    await revoke(
        session, await credentials.get(session, environment_id, join_token_id, kind=Kind.JOIN_TOKEN, lock=True)
    )

"""Joining and what follows: the worker protocol, not for people. Its bodies are in `control_plane.wire.joining`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Response

from control_plane.auth.dependencies import Db, Hashing, MayJoin, MayReportWorker
from control_plane.contract import Text
from control_plane.problems import NotFound, problems
from control_plane.transactions import TenantRoute
from control_plane.wire.joining import HeartbeatAnswer, JoinRequest, SessionRenewal, WorkerHeartbeat, WorkerSession
from control_plane.workers import sessions
from control_plane.workers.join_tokens import JoinTokenUsed
from control_plane.workers.router import Configured
from control_plane.workers.sessions import SessionEnded, TooManyWorkers, WorkerVersionRefused

joining_router = APIRouter(tags=["worker protocol"], route_class=TenantRoute)
router = APIRouter(prefix="/worker-sessions/current", tags=["worker protocol"])

_JOINING = problems(NotFound, WorkerVersionRefused, TooManyWorkers, JoinTokenUsed)


@joining_router.post("/worker-queues/{queue_id}/start", status_code=201, responses=_JOINING)
async def join_worker_queue(
    queue_id: UUID,
    body: JoinRequest,
    principal: MayJoin,
    session: Db,
    hasher: Hashing,
    settings: Configured,
    response: Response,
) -> WorkerSession:
    """Join a queue with a worker key, a join token or an API key, and receive the session of a worker."""
    joined = await sessions.start(session, principal, queue_id, body, hasher=hasher, settings=settings)
    response.headers["Location"] = f"/api/v1/workers/{joined.session_id}"
    return joined


@joining_router.post("/work-pools/{work_pool}/start", status_code=201, responses=_JOINING)
async def join_work_pool(
    work_pool: Annotated[Text, Path(max_length=200)],
    body: JoinRequest,
    principal: MayJoin,
    session: Db,
    hasher: Hashing,
    settings: Configured,
    response: Response,
) -> WorkerSession:
    """The same by the name of the environment's work pool: the queue that `worker_queue` names, or the default one."""
    joined = await sessions.start_in_pool(session, principal, work_pool, body, hasher=hasher, settings=settings)
    response.headers["Location"] = f"/api/v1/workers/{joined.session_id}"
    return joined


@joining_router.post("/worker-sessions/{session_id}/renew", responses=problems(NotFound, SessionEnded))
async def renew_worker_session(
    session_id: UUID, principal: MayJoin, session: Db, settings: Configured
) -> SessionRenewal:
    """Keep a session alive, with what the worker joined with. Its token stays the same."""
    return await sessions.renew(session, principal, session_id, settings=settings)


@router.post("/heartbeat", responses=problems(SessionEnded))
async def heartbeat(
    body: WorkerHeartbeat, worker: MayReportWorker, session: Db, settings: Configured
) -> HeartbeatAnswer:
    """Give a sign of life, and learn whether to stop."""
    return await sessions.heartbeat(session, worker, body, settings=settings)


@router.delete("", status_code=204)
async def leave(worker: MayReportWorker, session: Db) -> None:
    """End the session."""
    await sessions.leave(session, worker)

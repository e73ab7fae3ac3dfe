"""`/worker/executions`: the worker protocol, not for people. Its bodies are in `control_plane.wire`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Request

from control_plane.auth.dependencies import Db, Hashing, MayClaimExecutions, MayReportExecution
from control_plane.executions import claims
from control_plane.executions.claims import AlreadyClaimed, EventsMissing, LeaseLost
from control_plane.executions.service import ExecutionEnded
from control_plane.executions.wake import QueueBusy
from control_plane.problems import NotFound, problems
from control_plane.settings import Settings
from control_plane.wire.executions import Claim, ClaimRequest, EventReceipt, EventReport, Finish, LeaseRenewal
from control_plane.wire.plan import Plan

router = APIRouter(prefix="/worker/executions/{execution_id}", tags=["worker protocol"])


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


Configured = Annotated[Settings, Depends(_settings)]


@router.post("/claim", responses=problems(NotFound, AlreadyClaimed, ExecutionEnded, QueueBusy))
async def claim(
    execution_id: UUID,
    body: ClaimRequest,
    worker: MayClaimExecutions,
    session: Db,
    hasher: Hashing,
    settings: Configured,
) -> Claim:
    """Take an execution of the worker's environment and receive the token that opens it."""
    return await claims.claim(session, worker, execution_id, body, hasher=hasher, settings=settings)


@router.get("/plan", responses=problems(NotFound, LeaseLost))
async def plan(holder: MayReportExecution, session: Db) -> Plan:
    """What is to be carried out."""
    return await claims.plan(session, holder)


@router.post("/events", responses=problems(NotFound, LeaseLost, EventsMissing))
async def report(body: EventReport, holder: MayReportExecution, session: Db) -> EventReceipt:
    """Report what has happened."""
    return await claims.report(session, holder, body)


@router.post("/lease", responses=problems(NotFound, LeaseLost))
async def renew(
    fence: Annotated[int, Body(embed=True)], holder: MayReportExecution, session: Db, settings: Configured
) -> LeaseRenewal:
    """Keep the lease, and learn whether somebody wants the execution to stop."""
    return await claims.renew(session, holder, fence=fence, settings=settings)


@router.post("/finish", status_code=204, responses=problems(NotFound, LeaseLost))
async def finish(body: Finish, holder: MayReportExecution, session: Db) -> None:
    """Say how the execution ended."""
    await claims.finish(session, holder, body)

"""The worker's side of an execution: claim, plan, report, renew, finish. Whoever lost the lease is refused."""

from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.auth.credentials import Credential, Hasher, issue
from control_plane.auth.principals import ExecutionPrincipal, Kind, WorkerPrincipal
from control_plane.db import now
from control_plane.events.service import NewEvent
from control_plane.executions import service as executions
from control_plane.executions import wake
from control_plane.executions.models import Execution
from control_plane.executions.service import ExecutionEnded
from control_plane.executions.state import Status
from control_plane.problems import Conflict, Invalid, NotFound
from control_plane.settings import Settings
from control_plane.wire.executions import (
    RENEWALS_A_LEASE,
    Claim,
    ClaimRequest,
    EventReceipt,
    EventReport,
    EventType,
    Finish,
    LeaseRenewal,
)
from control_plane.wire.mending import mended
from control_plane.wire.plan import Plan
from control_plane.worker_queues import waking

_OURS = frozenset({EventType.STATUS, EventType.DONE})
"""Events that the server alone writes, because they say what it decided."""


class AlreadyClaimed(Conflict):
    """Another process carries out this execution."""

    code, title = "already_claimed", "Another process has claimed the execution"


class LeaseLost(Conflict):
    """The claim doesn't count any more: the execution has ended, or the lease had run out. Stop working on it."""

    code, title = "lease_lost", "The claim doesn't count any more"


class EventsMissing(Conflict):
    """The report leaves a gap after the last event that was received."""

    code, title = "events_missing", "Events are missing before these"


async def claim(
    session: AsyncSession,
    worker: WorkerPrincipal,
    execution_id: UUID,
    request: ClaimRequest,
    *,
    hasher: Hasher,
    settings: Settings,
) -> Claim:
    """Give one process the right to carry out an execution of the worker's environment, and a token for it alone.

    The flow run that the worker names is not noted: we cancel the noted one with our own credential, so a worker could
    name a run of somebody else. The dispatcher notes the run that it started.
    """
    execution = await executions.get(session, execution_id, lock=True)
    if execution.environment_id != worker.environment_id:
        raise NotFound.of("execution", execution_id)
    status = Status(execution.status)
    if status.terminal:
        raise ExecutionEnded(f"The execution has ended as {status}.")
    moment = await now(session)
    if status in {Status.PENDING, Status.SCHEDULED}:
        await wake.admit(session, execution)
        execution.fence += 1
        execution.reported_sequence = 0
        execution.claim_id = request.claim_id
        execution.claimed_by = mended(request.worker)
        execution.started_at = moment
        await executions.move(session, execution, Status.RUNNING)
    elif status is not Status.RUNNING or execution.claim_id != request.claim_id:
        raise AlreadyClaimed(f"{execution.claimed_by} carries out this execution.")
    execution.lease_expires_at = execution.attend_at = moment + settings.lease
    # Of requests that repeat a claim, the one that is answered last may be stored first: each has a token that holds.
    await session.execute(
        delete(Credential).where(Credential.execution_id == execution.id, Credential.fence != execution.fence)
    )
    issued = issue(
        session,
        hasher,
        kind=Kind.EXECUTION_TOKEN,
        organization_id=execution.organization_id,
        name=str(execution.id),
        created_by=f"worker_session:{worker.name}",
        worker_id=worker.session_id,
        execution_id=execution.id,
        fence=execution.fence,
        expires_at=moment + settings.execution_token_lifetime,
    )
    await session.flush()
    return Claim(
        execution_id=execution.id,
        execution_token=issued.secret,
        fence=execution.fence,
        lease_expires_at=execution.lease_expires_at,
        renew_every_seconds=settings.lease.total_seconds() / RENEWALS_A_LEASE,
        lease_seconds=settings.lease.total_seconds(),
        plan=await stored_plan(session, execution.id) if request.with_plan else None,
    )


async def plan(session: AsyncSession, holder: ExecutionPrincipal) -> Plan:
    """What the holder of the claim has to carry out. Raises `LeaseLost`."""
    await held(session, holder, fence=holder.fence)
    return await stored_plan(session, holder.execution_id)


async def renew(session: AsyncSession, holder: ExecutionPrincipal, *, fence: int, settings: Settings) -> LeaseRenewal:
    """Keep the lease for another while. Raises `LeaseLost`."""
    execution = await held(session, holder, fence=fence)
    moment = await now(session)
    execution.lease_expires_at = execution.attend_at = moment + settings.lease
    await session.flush()
    return LeaseRenewal(
        lease_expires_at=execution.lease_expires_at,
        cancel_requested=execution.cancel_requested_at is not None,
        lease_seconds=settings.lease.total_seconds(),
    )


async def report(session: AsyncSession, holder: ExecutionPrincipal, body: EventReport) -> EventReceipt:
    """Append the worker's events. What is held already is passed over. Raises `LeaseLost`, `EventsMissing`."""
    execution = await held(session, holder, fence=body.fence)
    if forged := _OURS & {event.type for event in body.events}:
        raise Invalid(f"Only the server writes events of type {', '.join(sorted(forged))}.", location="body.events")
    sequences = [event.sequence for event in body.events]
    if sequences != list(range(sequences[0], sequences[0] + len(sequences))):
        raise EventsMissing("The events of a report must be numbered one after the other.")
    if sequences[0] > execution.reported_sequence + 1:
        raise EventsMissing(f"Report again from sequence {execution.reported_sequence + 1}.")
    new = [event for event in body.events if event.sequence > execution.reported_sequence]
    if new:
        await executions.record(session, execution, *(NewEvent(e.type, e.data, e.occurred_at) for e in new))
        execution.reported_sequence = new[-1].sequence
        await session.flush()
    return EventReceipt(sequence=execution.reported_sequence)


async def finish(session: AsyncSession, holder: ExecutionPrincipal, body: Finish) -> None:
    """End the execution as the worker says. Repeating it is harmless. Raises `LeaseLost`."""
    execution = await executions.get(session, holder.execution_id, lock=True)
    final = Status(body.status)
    if execution.fence == body.fence == holder.fence and execution.status == final:
        return
    await held(session, holder, fence=body.fence)
    await executions.end(
        session,
        execution,
        final,
        response=mended(body.response),
        output=mended(body.output),
        error=mended(body.error),
        code=mended(body.code),
        usage=body.usage,
    )
    # Where a limit kept others from being claimed, there is room for one now.
    await waking.tell(session, execution.environment_id)
    await wake.tell_lenders(session, execution)
    await session.flush()


async def stored_plan(session: AsyncSession, execution_id: UUID) -> Plan:
    """The plan as it was frozen."""
    stored: Any = await session.scalar(select(Execution.plan).where(Execution.id == execution_id))
    return Plan.model_validate(stored)


async def held(session: AsyncSession, holder: ExecutionPrincipal, *, fence: int) -> Execution:
    """The execution, locked, if this claim of it counts. Raises `LeaseLost`."""
    execution = await executions.get(session, holder.execution_id, lock=True)
    if execution.status != Status.RUNNING or not execution.fence == fence == holder.fence:
        raise LeaseLost(f"The execution is {execution.status} and at claim {execution.fence}; this is claim {fence}.")
    return execution

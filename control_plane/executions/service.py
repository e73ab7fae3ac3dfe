"""Starting, reading and cancelling executions."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.auth.credentials import Credential
from control_plane.auth.principals import Principal
from control_plane.budgets import service as budgets
from control_plane.budgets.schemas import ExecutionBudget
from control_plane.db import pipelined
from control_plane.environments.models import Environment
from control_plane.events import service as events
from control_plane.events.service import NewEvent
from control_plane.executions import planning, spending
from control_plane.executions.models import Execution
from control_plane.executions.planning import Place
from control_plane.executions.schemas import AgentPrompt, ExecutionCreate, ExecutionInputCreate, ExecutionRead
from control_plane.executions.state import Status, check
from control_plane.pagination import Page
from control_plane.problems import Conflict, Invalid, NotFound
from control_plane.wire.executions import EventType, Usage
from control_plane.wire.plan import Plan
from deployments.orchestrator import RunRequest

DISPATCH_GRACE = timedelta(seconds=5)
"""A new execution is dispatched at once; the reconciler looks at it only if that has not happened after this time."""

_GRACE_AFTER_END = timedelta(minutes=1)
"""How long a token outlives its execution, so that a worker whose `finish` was answered into the void may repeat it."""


_STORE = insert(Execution.__table__).values(  # type: ignore[arg-type] # it is declared as FromClause, and is a Table
    attend_at=func.now() + DISPATCH_GRACE
)


_ENDED = tuple(status for status in Status if status.terminal)

_TABLE = Execution.__table__
# Of the table and not of the model, which would take SQLAlchemy a way that is twice as long.
_SHOWN = select(*(_TABLE.c[name] for name in ExecutionRead.model_fields if name in _TABLE.c))


class ExecutionEnded(Conflict):
    """The execution has ended, so there is nothing left to change."""

    code, title = "execution_ended", "The execution has ended"


@dataclass(frozen=True, slots=True)
class Started:
    """A new execution, and what the dispatcher needs to have it run."""

    execution: Execution
    run: RunRequest


async def start(session: AsyncSession, principal: Principal, body: ExecutionCreate) -> Started:
    """Store an execution as `pending`, with its plan frozen and its first event. The caller has it dispatched."""
    try:
        return await _start(session, principal, body)
    except NotFound as error:
        raise Invalid(error.detail, location="body.agent_id") from error


async def start_prompt(session: AsyncSession, principal: Principal, agent_id: UUID, body: AgentPrompt) -> Started:
    """The same in short. Raises `NotFound`, since the agent is named by the address and not by the body."""
    asked = ExecutionCreate(agent_id=agent_id, input=asked_by(body), budget=body.budget)
    return await _start(session, principal, asked, at="body")


def asked_by(body: AgentPrompt) -> ExecutionInputCreate:
    """The input of an execution in its long form."""
    brought = body.model_dump(include={"context", "variables", "output_schema"}, exclude_unset=True)
    return ExecutionInputCreate.model_validate({"message": body.prompt} | brought)


async def _start(
    session: AsyncSession, principal: Principal, body: ExecutionCreate, *, at: str = planning.INPUT
) -> Started:
    place, plan = await planning.plan(
        session, uuid4(), agent_id=body.agent_id, asked=body.input, requested_by=principal.label, at=at
    )
    return await store(
        session,
        place,
        plan,
        asked=body.input,
        budget=body.budget,
        workflow_type=body.workflow_type,
        requester_credential_id=principal.credential_id,
        requester_member_id=principal.member_id,
    )


async def store(
    session: AsyncSession,
    place: Place,
    plan: Plan,
    *,
    asked: ExecutionInputCreate,
    budget: ExecutionBudget | None = None,
    **columns: Any,
) -> Started:
    """Store an execution of this plan as `pending`, with its budget and its first event. The caller has it dispatched.

    `columns` are those that neither the place nor the plan knows.
    """
    values: dict[str, Any] = {
        "id": plan.execution_id,
        "organization_id": place.organization_id,
        "project_id": place.project_id,
        "environment_id": place.environment_id,
        "agent_id": plan.agent.id,
        "agent_version": plan.agent.version,
        "status": Status.PENDING,
        "input": asked.model_dump(mode="json", exclude_unset=True),
        "plan": plan.model_dump(mode="json"),
        "requested_by": plan.requested_by,
        "parent_execution_id": plan.parent_execution_id,
        "depth": plan.depth,
        "team_id": plan.team.id if plan.team else None,
        "budget": budget.model_dump(mode="json", exclude_unset=True) if budget else None,
        "event_count": 1,
        "created_at": place.moment,
        "updated_at": place.moment,
        **columns,
    }
    async with pipelined(session):
        # Without the unit of work of a session, which costs more than the statement.
        await session.execute(_STORE, values)
        if budget:
            await budgets.store_for_execution(
                session,
                budget,
                organization_id=place.organization_id,
                project_id=place.project_id,
                execution_id=plan.execution_id,
            )
        await events.store(
            session,
            organization_id=place.organization_id,
            execution_id=plan.execution_id,
            after=0,
            events=[status_event(Status.PENDING)],
        )
    return Started(
        execution=Execution(**values),
        run=RunRequest(execution_id=plan.execution_id, work_pool=place.work_pool, tags=plan.tags()),
    )


async def run_of(session: AsyncSession, execution: Execution) -> RunRequest:
    """What the orchestrator is asked for: the run of this attempt."""
    stored, work_pool = (
        await session.execute(
            select(Execution.plan, Environment.work_pool)
            .join(Environment, Environment.id == Execution.environment_id)
            .where(Execution.id == execution.id)
        )
    ).one()
    tags = Plan.model_validate(stored).tags()
    return RunRequest(execution_id=execution.id, work_pool=work_pool, attempt=execution.run_attempt, tags=tags)


async def get(session: AsyncSession, execution_id: UUID, *, lock: bool = False) -> Execution:
    """One execution, locked until the transaction ends if asked. Raises `NotFound`.

    `key_share`, as in every lock of an execution: what changes a child checks its reference to the parent meanwhile.
    """
    statement = select(Execution).where(Execution.id == execution_id)
    execution = await session.scalar(statement.with_for_update(key_share=True) if lock else statement)
    if execution is None:
        raise NotFound.of("execution", execution_id)
    return execution


async def listed(session: AsyncSession, page: Page, **equal: Any) -> list[dict[str, Any]]:
    """A page of executions: of each, the columns that the API shows, by name.

    `equal` are columns and what they must be; None admits everything.
    """
    statement = _SHOWN
    for name, value in equal.items():
        if value is not None:
            statement = statement.where(_TABLE.c[name] == value)
    return await page.fetch_columns(session, statement, _TABLE)


async def cancel(session: AsyncSession, execution_id: UUID) -> Execution:
    """End an execution that no worker has claimed; ask the worker of a running one to stop. Its children end with it.

    Repeating it is harmless. Raises `ExecutionEnded` if it has ended otherwise.
    """
    execution = await get(session, execution_id, lock=True)
    status = Status(execution.status)
    if status is Status.CANCELLED:
        return execution
    if status.terminal:
        raise ExecutionEnded(f"The execution has ended as {status}; it can't be cancelled any more.")
    await _stop(session, execution, "Cancelled before a worker had claimed it.")
    await session.flush()
    return execution


async def _stop(session: AsyncSession, execution: Execution, reason: str) -> None:
    if execution.cancel_requested_at is None:
        execution.cancel_requested_at = func.clock_timestamp()
    if execution.status == Status.RUNNING:
        # Now, and not only when its worker has heard of it: what it has started needn't go on until then.
        await _stop_children(session, execution)
    else:
        await end(session, execution, Status.CANCELLED, error=reason)


async def _stop_children(session: AsyncSession, parent: Execution) -> None:
    """Nobody waits any more for what an execution has started. Rows are locked from the top of a tree downwards."""
    if not parent.child_count:
        return
    statement = (
        select(Execution)
        .where(Execution.parent_execution_id == parent.id, Execution.status.not_in(_ENDED))
        .order_by(Execution.id)
        .with_for_update(key_share=True)
    )
    for child in (await session.scalars(statement)).all():
        await _stop(session, child, "Cancelled, because the execution that had started it has ended.")


async def move(session: AsyncSession, execution: Execution, status: Status) -> None:
    """Change the status of a locked execution and record it."""
    check(Status(execution.status), status)
    execution.status = status
    await record(session, execution, status_event(status))


async def end(
    session: AsyncSession,
    execution: Execution,
    status: Status,
    *,
    response: str | None = None,
    output: dict[str, Any] | None = None,
    error: str | None = None,
    code: str | None = None,
    usage: Usage | None = None,
    holder_lost: bool = False,
) -> None:
    """Give a locked execution its last status and its last event, and stop what it has started.

    Its token holds for another minute, in which its process tells Prefect the end, unless that was lost: then nothing
    that it may still say counts.
    The reconciler has a last look at those that did not end well, to stop what may still run for them.
    """
    check(Status(execution.status), status)
    execution.status = status
    execution.response, execution.error, execution.error_code = response, error, code
    execution.output = output
    usage = await spending.counted(session, execution.id, usage)
    execution.usage = usage.model_dump() if usage else None
    execution.finished_at = func.clock_timestamp()
    execution.lease_expires_at = None
    needs_last_look = status is not Status.COMPLETED and execution.flow_run_id is not None
    execution.attend_at = func.clock_timestamp() if needs_last_look else None
    summary = {
        "status": status,
        "response": response,
        "output": output,
        "usage": execution.usage,
        "error": error,
    }
    await record(session, execution, status_event(status), NewEvent(EventType.DONE, summary))
    await _stop_children(session, execution)
    grace = timedelta() if holder_lost else _GRACE_AFTER_END
    await session.execute(
        update(Credential)
        .where(Credential.execution_id == execution.id)
        .values(expires_at=func.least(Credential.expires_at, func.clock_timestamp() + grace))
    )


async def record(session: AsyncSession, execution: Execution, *new: NewEvent) -> None:
    """Append events to the story of a locked execution."""
    await events.store(
        session,
        organization_id=execution.organization_id,
        execution_id=execution.id,
        after=execution.event_count,
        events=new,
    )
    execution.event_count += len(new)


def status_event(status: Status) -> NewEvent:
    """The event that tells of a new status."""
    return NewEvent(EventType.STATUS, {"status": status})

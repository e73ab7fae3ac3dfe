"""Executions that an execution starts: whoever asked for it asks, by way of its agent, another agent of the project."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.auth.permissions import Permission
from control_plane.auth.principals import ExecutionPrincipal
from control_plane.contract import checked
from control_plane.db import Database
from control_plane.events.notifications import Notifications
from control_plane.executions import callable_agents, claims, planning, requesters
from control_plane.executions import service as executions
from control_plane.executions.models import Execution
from control_plane.executions.schemas import ExecutionInputCreate
from control_plane.executions.state import Status
from control_plane.problems import Conflict, NotFound
from control_plane.settings import Settings
from control_plane.wire.children import CallableAgents, Child, ChildRequest
from control_plane.wire.plan import Plan
from deployments.orchestrator import RunRequest

_LOOK_AGAIN_AFTER = 5.0
"""Seconds after which a child is looked at even without a notification, in case one was missed."""


class TooDeep(Conflict):
    """As many executions stand above this one as may: it can't start another."""

    code, title = "too_deep", "Too many executions stand above this one"


class TooManyChildren(Conflict):
    """The execution, or all that belong to it together, have started as many others as they may."""

    code, title = "too_many_children", "The execution has started as many others as it may"


class AnotherCall(Conflict):
    """The key belongs to another call, which asked for something else."""

    code, title = "another_call", "The key belongs to another call"


async def agents(session: AsyncSession, holder: ExecutionPrincipal) -> CallableAgents:
    """The agents that the execution may ask. Raises `LeaseLost`, `Forbidden`."""
    execution = await claims.held(session, holder, fence=holder.fence)
    return await callable_agents.listed(session, execution, await claims.stored_plan(session, execution.id))


async def start(
    session: AsyncSession, holder: ExecutionPrincipal, body: ChildRequest, *, settings: Settings
) -> tuple[Child, RunRequest | None]:
    """Start an execution below the one that holds the claim, and what has it dispatched.

    A call that is made again finds what it has started. Raises `LeaseLost`, `NotFound` for an agent that it may not
    ask, `Forbidden` if its requester may start nothing any more, `TooDeep`, `TooManyChildren`.
    """
    parent = await _locked(session, holder, fence=body.fence)
    # What the requester said for policies to read goes down the tree: a model adds to it and changes none of it.
    context = body.context | parent.input.get("context", {})
    asked = checked(ExecutionInputCreate, {"message": body.message, "context": context}, location="body")
    if earlier := await _by_key(session, parent, body.key):
        if earlier.input != asked.model_dump(mode="json", exclude_unset=True):
            raise AnotherCall("The key of this call belongs to another one, which asked for something else.")
        return await _read(session, earlier), None
    if parent.cancel_requested_at is not None:
        raise executions.ExecutionEnded("The execution is being cancelled, so it starts nothing more.")
    plan = await claims.stored_plan(session, parent.id)
    agent = await callable_agents.find(session, parent, plan, body.agent)
    await _check_room(session, parent, plan, settings=settings)
    await requesters.check(session, parent, Permission.EXECUTIONS_START)
    place, child_plan = await planning.plan(
        session, uuid4(), agent_id=agent.id, asked=asked, requested_by=parent.requested_by, at="body"
    )
    started = await executions.store(
        session,
        place,
        child_plan.model_copy(update={"parent_execution_id": parent.id, "depth": parent.depth + 1}),
        asked=asked,
        workflow_type="agent_chat",
        requester_credential_id=parent.requester_credential_id,
        requester_member_id=parent.requester_member_id,
        root_execution_id=parent.root_execution_id or parent.id,
        ancestor_ids=[*parent.ancestor_ids, parent.id],
        child_key=body.key,
    )
    parent.child_count += 1
    await session.flush()
    return _described(started.execution, agent.name), started.run


async def get(session: AsyncSession, holder: ExecutionPrincipal, child_id: UUID) -> Child:
    """How a child of the execution stands. Raises `LeaseLost`, `NotFound`."""
    parent = await executions.get(session, holder.execution_id)
    if parent.status != Status.RUNNING or parent.fence != holder.fence:
        raise claims.LeaseLost(f"The execution is {parent.status} and at claim {parent.fence}.")
    return await _read(session, await _child_of(session, parent, child_id))


async def wait(
    database: Database,
    notifications: Notifications,
    holder: ExecutionPrincipal,
    child_id: UUID,
    *,
    seconds: float,
    present: Callable[[], Awaitable[bool]],
) -> Child:
    """The child once it has ended, or as it stands after `seconds` or when this process is about to end.

    While it waits it holds no connection to the database. Raises as `get`.
    """
    deadline = time.monotonic() + seconds
    with notifications.subscribe(child_id) as wake:
        while True:
            wake.clear()
            async with database.tenant(holder.organization_id) as session:
                child = await get(session, holder, child_id)
            left = deadline - time.monotonic()
            if child.ended or left <= 0 or notifications.ending or not await present():
                return child
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), min(left, _LOOK_AGAIN_AFTER))


async def cancel(session: AsyncSession, holder: ExecutionPrincipal, child_id: UUID) -> Child:
    """Stop a child whose answer the execution no longer wants; one that has ended stays as it is."""
    parent = await claims.held(session, holder, fence=holder.fence)
    child = await _child_of(session, parent, child_id, lock=True)
    with contextlib.suppress(executions.ExecutionEnded):
        child = await executions.cancel(session, child.id)
    return await _read(session, child)


async def _locked(session: AsyncSession, holder: ExecutionPrincipal, *, fence: int) -> Execution:
    """The execution, after the root of its tree: rows are locked from the top downwards."""
    root_id = await session.scalar(select(Execution.root_execution_id).where(Execution.id == holder.execution_id))
    if root_id is not None:
        await executions.get(session, root_id, lock=True)
    return await claims.held(session, holder, fence=fence)


async def _by_key(session: AsyncSession, parent: Execution, key: str) -> Execution | None:
    return await session.scalar(
        select(Execution).where(Execution.parent_execution_id == parent.id, Execution.child_key == key)
    )


async def _child_of(session: AsyncSession, parent: Execution, child_id: UUID, *, lock: bool = False) -> Execution:
    statement = select(Execution).where(Execution.id == child_id, Execution.parent_execution_id == parent.id)
    child = await session.scalar(statement.with_for_update(key_share=True) if lock else statement)
    if child is None:
        raise NotFound.of("execution", child_id)
    return child


async def _check_room(session: AsyncSession, parent: Execution, plan: Plan, *, settings: Settings) -> None:
    if parent.depth >= settings.child_depth:
        raise TooDeep(
            f"{parent.depth} executions stand above this one, and no more than {settings.child_depth} may: do it"
            " without asking another agent."
        )
    most = min(
        settings.children_per_execution, plan.team.max_delegations if plan.team else settings.children_per_execution
    )
    if parent.child_count >= most:
        raise TooManyChildren(f"This execution has asked other agents {most} times, as often as it may.")
    root_id = parent.root_execution_id or parent.id
    below = await session.scalar(select(func.count()).where(Execution.root_execution_id == root_id))
    if (below or 0) >= settings.executions_per_tree:
        raise TooManyChildren(
            f"The execution {root_id} and those below it have started {settings.executions_per_tree} others, as many as"
            " they may."
        )


async def _read(session: AsyncSession, child: Execution) -> Child:
    stored = await claims.stored_plan(session, child.id)
    return _described(child, stored.agent.name)


def _described(child: Execution, agent: str) -> Child:
    status = Status(child.status)
    return Child(
        execution_id=child.id,
        agent=agent,
        status=status,
        ended=status.terminal,
        response=child.response,
        error=child.error,
        error_code=child.error_code,
        usage=child.usage,
        waiting_because=child.dispatch_error,
    )

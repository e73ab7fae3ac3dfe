"""Calls of agents that are served as tools: starting an execution, waiting for its answer, stopping it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.agent_tools import tools
from control_plane.agent_tools.tools import WAITING, AgentArguments, WaitArguments
from control_plane.auth.principals import Principal
from control_plane.contract import Body
from control_plane.db import Database
from control_plane.events import service as events
from control_plane.events.notifications import Notifications
from control_plane.executions import service as executions
from control_plane.executions.dispatch import Dispatcher
from control_plane.executions.models import Execution
from control_plane.executions.schemas import ExecutionCreate, ExecutionInputCreate
from control_plane.executions.service import Started
from control_plane.executions.state import Status
from control_plane.problems import Conflict, Invalid, NotFound
from control_plane.wire.executions import EventType

_LOOK_AGAIN_AFTER = 5.0
"""Seconds after which an execution is looked at even without a notification, in case one was missed."""

_BATCH = 200
_TOLD = frozenset({EventType.STATUS, EventType.TOOL_STARTED})


class Refused(Exception):
    """The call can't be carried out. `str()` is for the model that made it."""


@dataclass(slots=True)
class Call:
    """One call that has been admitted: the execution to wait for, and how long (None: to its end).

    `started` says that this call has started it. `taken` is set when somebody waits: what nobody waits for is stopped.
    """

    execution_id: UUID
    started: bool
    wait_seconds: float | None = None
    taken: bool = False

    @property
    def ends_with_its_caller(self) -> bool:
        """Whether the execution is of no use to anybody when its caller has gone away."""
        return self.started and self.wait_seconds is None


async def begin(
    session: AsyncSession, principal: Principal, environment_id: UUID, *, name: str, arguments: Mapping[str, Any]
) -> tuple[Call, Started | None]:
    """Admit a call; what it started is to be dispatched. Raises `Refused`."""
    if name == WAITING:
        waiting = _checked(WaitArguments, arguments)
        await _check_own(session, principal, environment_id, waiting.execution_id)
        return Call(waiting.execution_id, started=False, wait_seconds=waiting.wait_seconds), None
    found = {tool.name: tool for tool in await tools.listed(session, environment_id)}
    if name not in found:
        raise Refused(f"There is no tool {name} here. The tools are listed anew with tools/list.")
    asked = _checked(AgentArguments, arguments)
    sent = asked.model_dump(exclude={"wait_seconds"}, exclude_unset=True)
    body = ExecutionCreate(agent_id=found[name].agent_id, input=ExecutionInputCreate.model_validate(sent))
    try:
        started = await executions.start(session, principal, body)
    except (Invalid, Conflict) as error:
        raise Refused(error.detail) from error
    return Call(started.execution.id, started=True, wait_seconds=asked.wait_seconds), started


@dataclass(frozen=True, slots=True)
class Waiter:
    """Waits for executions in the name of one caller, who sees these `projects` (None: all)."""

    database: Database
    notifications: Notifications
    dispatcher: Dispatcher
    organization_id: UUID
    projects: Collection[UUID] | None
    allowed: Callable[[], Awaitable[bool]]

    async def answer(self, call: Call, tell: Callable[[int, str], Awaitable[None]]) -> Execution:
        """The execution when it has ended, when the time is up, or when this process is about to end.

        `tell` hears what happens, with numbers that grow. Raises `Refused` once the caller may not see it any more.
        """
        deadline = None if call.wait_seconds is None else time.monotonic() + call.wait_seconds
        after = 0
        with self.notifications.subscribe(call.execution_id) as wake:
            while True:
                wake.clear()
                if not await self.allowed():
                    raise Refused("Your credential doesn't allow this any more.")
                async with self.session() as session:
                    execution = await executions.get(session, call.execution_id)
                    batch = await events.read(session, call.execution_id, after=after, limit=_BATCH)
                for event in batch:
                    after = event.number
                    if event.type in _TOLD:
                        await tell(event.number, _said(event.type, event.data))
                left = _LOOK_AGAIN_AFTER if deadline is None else deadline - time.monotonic()
                if Status(execution.status).terminal or left <= 0 or self.notifications.ending:
                    return execution
                if len(batch) < _BATCH:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(wake.wait(), min(left, _LOOK_AGAIN_AFTER))

    async def stop(self, call: Call) -> None:
        """Cancel what the call has started. If it has ended, it stays as it is."""
        async with self.session() as session:
            with contextlib.suppress(executions.ExecutionEnded, NotFound):
                await executions.cancel(session, call.execution_id)
        self.dispatcher.attend_soon(self.organization_id, call.execution_id)
        self.dispatcher.reconcile_soon()

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        async with self.database.tenant(self.organization_id, projects=self.projects) as session:
            yield session


def _checked(model: type[Body], arguments: Mapping[str, Any]) -> Any:
    try:
        return model.model_validate(arguments)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in error.errors())
        raise Refused(f"The arguments are wrong. {wrong}.") from error


async def _check_own(session: AsyncSession, principal: Principal, environment_id: UUID, execution_id: UUID) -> None:
    """Whoever may start executions sees the answers to their own; those of others take another permission."""
    own = (
        Execution.requester_member_id == principal.member_id
        if principal.member_id
        else Execution.requester_credential_id == principal.credential_id
    )
    statement = select(Execution.id).where(
        Execution.id == execution_id, Execution.environment_id == environment_id, Execution.depth == 0, own
    )
    if await session.scalar(statement) is None:
        raise Refused(f"You have started no execution {execution_id} here.")


def _said(kind: str, data: Mapping[str, Any]) -> str:
    if kind == EventType.STATUS:
        return str(data.get("status"))
    return f"calls the tool {data.get('data', {}).get('tool_name')}"

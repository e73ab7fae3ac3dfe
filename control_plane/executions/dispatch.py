"""From stored to running: hand executions to the orchestrator, and look after those that got stuck.

An execution is stored first and dispatched afterwards (D7). `attend_at` in its row says when somebody must look at it
again; that is the whole queue. A commit wakes the dispatcher at once, the clock wakes it for everything else, and each
look is safe to repeat, so any number of API processes may do it and any of them may die at any point.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.auth import browser_sessions
from control_plane.db import Database, now
from control_plane.environments import provisioning
from control_plane.executions import service as executions
from control_plane.executions import wake
from control_plane.executions.models import Execution
from control_plane.executions.state import Status
from control_plane.executions.turns import FairTurns
from control_plane.idempotency import forget_expired
from control_plane.llm.metering import settle_lost
from control_plane.worker_queues import waking
from deployments.orchestrator import (
    Orchestrator,
    OrchestratorRefused,
    OrchestratorUnavailable,
    RunRequest,
    RunState,
)

logger = logging.getLogger(__name__)

CONCURRENCY = 8
"""Dispatches under way at once in one process; Prefect's server answers about that many in parallel."""

CONCURRENCY_OF_ONE = 2
"""Of one organization. Prefect's server does its work on one core: two keep it busy, and more would only stand before
the first one that another organization asks for."""

_BATCH = 200
_FIRST_WAIT = timedelta(milliseconds=500)
_LONGEST_WAIT = timedelta(minutes=1)
_CHECK_SCHEDULED_EVERY = timedelta(seconds=30)
STILL_NEW = timedelta(seconds=1)

CLAIM_WITHIN = timedelta(minutes=1)
"""A flow run claims within seconds after a worker took it, minutes on a very busy machine. Taking a slow one for lost
costs nothing but that run: the execution is claimed once, by whoever comes first."""

MOST_RUNS = 5
"""Flow runs of one execution that may be lost before a claim; more would hide what is wrong on the worker."""

WORKER_LOST = "worker_lost"
RUN_ENDED_EARLY = "run_ended_early"


class Dispatcher:
    """Dispatches and reconciles in the background of an API process, between `await start()` and `await stop()`."""

    def __init__(
        self, database: Database, orchestrator: Orchestrator, *, every: timedelta, lease: timedelta = timedelta()
    ) -> None:
        self._database = database
        self._orchestrator = orchestrator
        self._every = every
        self._lease = lease
        self._judge_leases_from = time.monotonic() + lease.total_seconds()
        self._turns = FairTurns(CONCURRENCY, each=CONCURRENCY_OF_ONE)
        self._looks = asyncio.Semaphore(CONCURRENCY)
        self._under_way: dict[UUID, asyncio.Task[None]] = {}
        self._timers: dict[UUID, asyncio.TimerHandle] = {}
        self._reconciler: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()

    async def start(self) -> None:
        """Begin to look after executions."""
        self._reconciler = asyncio.create_task(self._reconcile_forever(), name="reconciler")

    async def stop(self) -> None:
        """Stop. What is under way is cut off: the next process takes it up again."""
        tasks = [*self._under_way.values(), *([self._reconciler] if self._reconciler else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for timer in self._timers.values():
            timer.cancel()

    def reconcile_soon(self) -> None:
        """Look at everything that is due, now rather than at the next interval."""
        self._hurry.set()

    def dispatch_soon(self, organization_id: UUID, run: RunRequest) -> None:
        """Hand a new execution to the orchestrator, without looking at what has just been stored."""
        self._begin(organization_id, run.execution_id, lambda: self._dispatch_in_turn(organization_id, run))

    def attend_soon(self, organization_id: UUID, execution_id: UUID) -> None:
        """Attend to one execution now, unless that is under way."""
        if timer := self._timers.pop(execution_id, None):
            timer.cancel()
        if execution_id not in self._under_way:
            self._begin(organization_id, execution_id, lambda: self.attend(organization_id, execution_id))

    def _begin(self, organization_id: UUID, execution_id: UUID, look: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.create_task(self._with_another_try(organization_id, execution_id, look))
        self._under_way[execution_id] = task
        task.add_done_callback(lambda _: self._under_way.pop(execution_id, None))

    async def _with_another_try(
        self, organization_id: UUID, execution_id: UUID, look: Callable[[], Awaitable[None]]
    ) -> None:
        try:
            await look()
        except (OrchestratorUnavailable, OrchestratorRefused) as error:
            await self._postpone(organization_id, execution_id, reason=str(error))
        except Exception:
            # One broken execution must not stop the others; it stays due, and the log says why.
            logger.exception("execution %s could not be attended to", execution_id)
            await self._postpone(organization_id, execution_id, reason="internal error, see the server's log")

    async def _postpone(self, organization_id: UUID, execution_id: UUID, *, reason: str) -> None:
        try:
            await self._note_failure(organization_id, execution_id, reason=reason)
        except Exception:
            # The database is away too. The execution is still due there and comes up again.
            logger.exception("execution %s could not even be postponed", execution_id)

    async def _reconcile_forever(self) -> None:
        while True:
            self._hurry.clear()
            try:
                await self.reconcile()
                await forget_expired(self._database)
                await browser_sessions.forget_ended(self._database)
                await settle_lost(self._database)
            except OrchestratorUnavailable as error:
                logger.warning("reconciling is delayed: %s", error)
            except Exception:
                logger.exception("reconciling failed and will be repeated")
                # Workers couldn't renew either, so they get the time to do so before anybody is called lost.
                self._judge_leases_from = time.monotonic() + self._lease.total_seconds()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), self._every.total_seconds())

    async def reconcile(self) -> None:
        """Attend to every execution that is due, and bring the work pools up to date."""
        async with self._database.tenant(None) as session:
            due = (await session.execute(text("SELECT * FROM executions_to_attend(:most)"), {"most": _BATCH})).all()
        for organization_id, execution_id in due:
            self.attend_soon(organization_id, execution_id)
        await provisioning.mirror(self._database, self._orchestrator)

    async def attend(self, organization_id: UUID, execution_id: UUID) -> None:
        """Do for one execution what its status asks for. Raises `OrchestratorUnavailable`, `OrchestratorRefused`."""
        async with self._looks:
            async with self._database.tenant(organization_id) as session:
                execution = await executions.get(session, execution_id)
            if execution.status == Status.RUNNING:
                # Not behind those that wait for the orchestrator: a lost worker is noticed even if that hangs.
                await self._check_lease(execution)
                return
        async with self._turns.of(organization_id):
            await self._act(execution)

    async def _act(self, execution: Execution) -> None:
        match Status(execution.status):
            case Status.PENDING:
                async with self._database.tenant(execution.organization_id) as session:
                    run = await executions.run_of(session, execution)
                await self._dispatch(execution.organization_id, run)
            case Status.SCHEDULED:
                await self._check_scheduled(execution)
            case Status.CANCELLED | Status.FAILED:
                await self._clean_up(execution)
            case Status.COMPLETED | Status.WAITING_FOR_APPROVAL | Status.WAITING_FOR_INPUT | Status.PAUSED:
                await self._settle(execution)

    async def _dispatch_in_turn(self, organization_id: UUID, run: RunRequest) -> None:
        asked = time.monotonic()
        async with self._turns.of(organization_id):
            if time.monotonic() - asked < STILL_NEW.total_seconds():
                await self._dispatch(organization_id, run)
                return
            # It waited long enough for somebody to have cancelled it, or for another process to have dispatched it.
            async with self._database.tenant(organization_id) as session:
                execution = await executions.get(session, run.execution_id)
            await self._act(execution)

    async def _dispatch(self, organization_id: UUID, run: RunRequest) -> None:
        run_id = await self._orchestrator.start(run)
        async with self._database.tenant(organization_id) as session:
            current = await executions.get(session, run.execution_id, lock=True)
            current.flow_run_id = run_id
            current.dispatch_error = None
            current.dispatch_attempts = 0
            if current.status == Status.PENDING and current.run_attempt == run.attempt:
                current.attend_at = func.clock_timestamp() + _CHECK_SCHEDULED_EVERY
                await executions.move(session, current, Status.SCHEDULED)
                await waking.tell(session, current.environment_id)
                await wake.tell_lenders(session, current)
            elif current.status in {Status.CANCELLED, Status.FAILED}:
                # It was cancelled while we dispatched it.
                current.attend_at = func.clock_timestamp()

    async def _check_scheduled(self, execution: Execution) -> None:
        if execution.flow_run_id is None:
            raise RuntimeError(f"execution {execution.id} is scheduled without a flow run")
        run = await self._orchestrator.status(execution.flow_run_id)
        async with self._database.tenant(execution.organization_id) as session:
            moment = await now(session)
        stuck = run.state is RunState.HANDED_OUT and run.since is not None and moment - run.since > CLAIM_WITHIN
        if stuck:
            await self._orchestrator.cancel(execution.flow_run_id)
        async with self._database.tenant(execution.organization_id) as session:
            current = await executions.get(session, execution.id, lock=True)
            if current.status != Status.SCHEDULED or current.run_attempt != execution.run_attempt:
                return
            if run.state in {RunState.WAITING, RunState.HANDED_OUT} and not stuck:
                current.attend_at = moment + _CHECK_SCHEDULED_EVERY
            else:
                await self._start_anew(session, current, run.detail)

    async def _start_anew(self, session: AsyncSession, current: Execution, detail: str) -> None:
        """Give an execution whose run was lost before any claim another run. Nothing has happened in it yet."""
        if current.run_attempt + 1 >= MOST_RUNS:
            await executions.end(
                session,
                current,
                Status.FAILED,
                error=(
                    f"{MOST_RUNS} flow runs ended before they had claimed the execution, the last one as {detail}. The"
                    " logs of the worker and of the flow run say why; mend that and start the execution again."
                ),
                code=RUN_ENDED_EARLY,
            )
            return
        wait = _FIRST_WAIT * 2**current.run_attempt
        current.run_attempt += 1
        current.dispatch_error = f"A flow run ended before it had claimed the execution ({detail}); trying another."
        current.attend_at = func.clock_timestamp() + wait
        await executions.move(session, current, Status.PENDING)
        self._attend_after(wait, current)

    async def _check_lease(self, execution: Execution) -> None:
        wait = timedelta(seconds=max(0.0, self._judge_leases_from - time.monotonic()))
        async with self._database.tenant(execution.organization_id) as session:
            lapsed = await session.scalar(
                select(Execution)
                .where(
                    Execution.id == execution.id,
                    Execution.status == Status.RUNNING,
                    Execution.lease_expires_at < func.clock_timestamp(),
                )
                .with_for_update(key_share=True)
            )
            if lapsed is None:
                return
            if wait:
                # We were away, and with us perhaps the only way to renew.
                lapsed.attend_at = func.clock_timestamp() + wait
                return
            if lapsed.cancel_requested_at is not None:
                await executions.end(
                    session,
                    lapsed,
                    Status.CANCELLED,
                    error="Cancelled; the worker no longer answers.",
                    holder_lost=True,
                )
                return
            await executions.end(
                session,
                lapsed,
                Status.FAILED,
                error=(
                    f"The worker {lapsed.claimed_by} stopped answering and its lease ran out. A tool call may have been"
                    " under way, so the execution is not repeated by itself: look at its events, then start it again."
                ),
                code=WORKER_LOST,
                holder_lost=True,
            )

    async def _clean_up(self, execution: Execution) -> None:
        if execution.flow_run_id is not None and execution.error_code == WORKER_LOST:
            # Nobody is left who could carry a cancellation out and say so.
            await self._orchestrator.give_up(execution.flow_run_id)
        elif execution.flow_run_id is not None:
            await self._orchestrator.cancel(execution.flow_run_id)
        await self._settle(execution)

    async def _settle(self, execution: Execution) -> None:
        async with self._database.tenant(execution.organization_id) as session:
            current = await executions.get(session, execution.id, lock=True)
            if current.status == execution.status:
                current.attend_at = None

    async def _note_failure(self, organization_id: UUID, execution_id: UUID, *, reason: str) -> None:
        async with self._database.tenant(organization_id) as session:
            current = await executions.get(session, execution_id, lock=True)
            wait = min(_FIRST_WAIT * 2**current.dispatch_attempts, _LONGEST_WAIT)
            current.dispatch_attempts = min(current.dispatch_attempts + 1, 10)
            current.dispatch_error = reason
            current.attend_at = func.clock_timestamp() + wait
        # Here sooner than at the next look at everything, which finds it too if this process is gone by then.
        self._timers[execution_id] = asyncio.get_running_loop().call_later(
            wait.total_seconds(), self.attend_soon, organization_id, execution_id
        )
        logger.warning("execution %s is postponed for %.1f s: %s", execution_id, wait.total_seconds(), reason)

    def _attend_after(self, wait: timedelta, execution: Execution) -> None:
        """Attend sooner than at the next look at everything, which finds it too if this process is gone by then."""
        self._timers[execution.id] = asyncio.get_running_loop().call_later(
            wait.total_seconds(), self.attend_soon, execution.organization_id, execution.id
        )

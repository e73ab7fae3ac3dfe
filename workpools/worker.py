"""The Prefect worker of type `environment`: woken by the control plane, and with processes ready for what comes.

`prefect worker start --pool …` finds it by the type of the work pool.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import anyio
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from prefect.workers.base import BaseJobConfiguration, BaseVariables, BaseWorker, BaseWorkerResult

from control_plane.client import ControlPlaneError, Refused, WorkerClient
from control_plane.wire.executions import Claim, ClaimRequest, FinalStatus, Finish, Offer
from control_plane.wire.joining import WorkerHeartbeat
from workpools import joining, readiness
from workpools.assignment import Assignment
from workpools.children import Child, Children, ForkServerGone, environment
from workpools.confinement import hide_memory
from workpools.engine import PARAMETER
from workpools.membership import Membership
from workpools.pool_template import WORKER_TYPE
from workpools.settings import WorkerSettings

_WAIT_SECONDS = 50.0
"""For one answer of the control plane; below the minute after which proxies give up."""

_IN_PLACE_SECONDS = 10.0
"""The same while all places are taken, when there is mostly nothing to be told."""

_TRY_AGAIN_SECONDS = 2.0
_LOOK_EVERY_SECONDS = 1.0

WORKER_LOST = "worker_lost"


class EnvironmentWorkerResult(BaseWorkerResult):
    """How the process of a flow run ended."""


class EnvironmentWorker(BaseWorker[BaseJobConfiguration, BaseVariables, EnvironmentWorkerResult]):
    """Claims executions for its processes and watches over them. See `workpools.children`."""

    type = WORKER_TYPE
    _description = "Carries out executions of the control plane's agents, in processes that are ready before they come."

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        hide_memory()
        self._options = WorkerSettings()
        self.slots = self._limit or self._options.slots
        self._children: Children | None = None
        self._at_work: dict[UUID, Child] = {}
        self._taken: set[UUID] = set()
        self._in_place_of: dict[UUID, UUID] = {}
        self._flow_id: UUID | None = None
        self._changed = asyncio.Event()
        self._draining = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    async def start(
        self,
        run_once: bool = False,  # noqa: FBT001, FBT002 - as Prefect has it
        with_healthcheck: bool = False,  # noqa: FBT001, FBT002 - as Prefect has it
        printer: Callable[..., None] = print,
    ) -> None:
        """Work until asked to stop; then finish what is under way, and return."""
        with anyio.CancelScope() as scope, self._asked_to_stop(printer):
            async with anyio.create_task_group() as group:
                group.start_soon(self._leave, scope)
                await super().start(run_once=run_once, with_healthcheck=with_healthcheck, printer=printer)
                group.cancel_scope.cancel()

    async def setup(self) -> None:
        """As Prefect does it; and make the processes ready."""
        await super().setup()
        self._children = await self._exit_stack.enter_async_context(
            Children("workpools.engine", ready=self.slots, environment=environment(os.environ, self._options))
        )
        self._claiming = await self._exit_stack.enter_async_context(WorkerClient(_url(), _credential()))
        tasks = [asyncio.create_task(self._follow(), name="offers")]
        if membership := joining.membership():
            tasks.append(asyncio.create_task(self._obey(membership), name="session"))
        self._exit_stack.push_async_callback(_stopped, tasks)

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Prefect's own way to find work, for when the control plane can't wake us."""
        if self._draining.is_set() or not (self._has_successfully_synced and self._processes.ready.is_set()):
            return []
        found = [response.flow_run for response in await self._get_scheduled_flow_runs()]
        for run in found:
            with contextlib.suppress(KeyError, ValueError):  # not a run of ours
                self._take(Offer(execution_id=UUID(run.parameters[PARAMETER]), flow_run_id=run.id))
        return found

    async def run(
        self,
        flow_run: FlowRun,
        configuration: BaseJobConfiguration,
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> EnvironmentWorkerResult:
        """Not a way in: a run is carried out when its execution has been claimed."""
        raise NotImplementedError("Executions are started through the control plane.")

    def drain(self) -> None:
        """Take nothing new. The worker ends when what is under way has."""
        self._draining.set()

    def stop_now(self) -> None:
        """End what is under way."""
        self.drain()
        for child in self._at_work.values():
            self._processes.kill(child)

    @property
    def _processes(self) -> Children:
        if self._children is None:
            raise RuntimeError("the worker is not set up")
        return self._children

    @contextmanager
    def _asked_to_stop(self, printer: Callable[..., None]) -> Iterator[None]:
        """The first request to stop lets executions finish, the second doesn't."""
        loop = asyncio.get_running_loop()
        asked_before = False  # by a signal: who was asked to drain by the control plane still has its first one to come

        def asked() -> None:
            nonlocal asked_before
            if asked_before:
                printer("Stopping the executions that are under way.")
                self.stop_now()
            else:
                asked_before = True
                printer(_on_its_way_out(len(self._taken)))
                self.drain()

        signals = (signal.SIGTERM, signal.SIGINT)
        # Only the main thread hears signals; a worker elsewhere is stopped by whoever has started it.
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            for number in signals:
                loop.add_signal_handler(number, asked)
        try:
            yield
        finally:
            for number in signals:
                with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                    loop.remove_signal_handler(number)

    async def _leave(self, scope: anyio.CancelScope) -> None:
        await self._draining.wait()
        try:
            async with asyncio.timeout(self._options.drain.total_seconds()):
                await self._idle.wait()
        except TimeoutError:
            self._logger.warning("executions did not finish within %s and are stopped", self._options.drain)
            self.stop_now()
            await self._idle.wait()
        scope.cancel()

    async def _follow(self) -> None:
        """Ask the control plane for work, all the time that there is room for some."""
        await self._processes.ready.wait()
        self._logger.info("ready for executions, %s at once", self.slots)
        if membership := joining.membership():
            readiness.tell(str(membership.session.session_id))
        while not self._leaving:
            try:
                async with WorkerClient(_url(), _credential(), patience_seconds=0) as client:
                    while not self._leaving:
                        await self._take_what_comes(client)
            except ControlPlaneError as error:
                self._logger.warning("the control plane can't wake this worker now: %s", error)
                await asyncio.sleep(_TRY_AGAIN_SECONDS)

    async def _take_what_comes(self, client: WorkerClient) -> None:
        if self._free and not self._draining.is_set():
            for offer in await client.offers(most=self._free, wait_seconds=_WAIT_SECONDS):
                self._take(offer)
            return
        self._changed.clear()
        # Those that are under way may wait for what they have started, which then runs in their place.
        asked = asyncio.create_task(client.offers(most=self.slots, wait_seconds=_IN_PLACE_SECONDS, in_place=True))
        changed = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait({asked, changed}, return_when=asyncio.FIRST_COMPLETED)
            if asked.done() and not [offer for offer in asked.result() if self._take(offer)]:
                await asyncio.wait({changed}, timeout=_LOOK_EVERY_SECONDS)
        finally:
            await _stopped([asked, changed])

    @property
    def _free(self) -> int:
        """Places in which nothing runs. What runs in the place of another has none of its own."""
        lent = sum(lender in self._taken for lender in self._in_place_of.values())
        return max(self.slots - len(self._taken) + lent, 0)

    @property
    def _leaving(self) -> bool:
        return self._draining.is_set() and not self._taken

    async def _obey(self, membership: Membership) -> None:
        """Drain when the control plane asks for it, of which the session's own thread learns."""
        membership.measure = self._measured(membership.measure)
        while not membership.draining.is_set():  # noqa: ASYNC110 - it is an event of threads
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
        self.drain()
        self._logger.info("taking nothing new, executions under way: %s", len(self._taken))

    def _measured(self, measure: Callable[[], WorkerHeartbeat]) -> Callable[[], WorkerHeartbeat]:
        def measured() -> WorkerHeartbeat:
            running, lent = len(self._at_work), len(self._in_place_of)  # in another thread, so nothing is walked over
            free = max(self.slots - running + lent, 0)
            return measure().model_copy(update={"running": running, "free_slots": free})

        return measured

    def _take(self, offer: Offer) -> bool:
        """Begin with an execution, if it isn't begun and there is a place for it."""
        lender = offer.in_place_of
        lent = lender in self._taken and lender not in self._in_place_of.values()
        if offer.execution_id in self._taken or not (lent or (self._free and not self._draining.is_set())):
            return False
        self._taken.add(offer.execution_id)
        if lender is not None and lent:
            self._in_place_of[offer.execution_id] = lender
        self._idle.clear()
        if self._runs_task_group:
            self._runs_task_group.start_soon(self._carry_out, offer)
        return True

    async def _carry_out(self, offer: Offer) -> None:
        try:
            await self._claim_and_run(offer)
        except Exception:
            self._logger.exception("execution %s could not be carried out", offer.execution_id)
        finally:
            self._taken.discard(offer.execution_id)
            self._in_place_of.pop(offer.execution_id, None)
            self._changed.set()
            if not self._taken:
                self._idle.set()

    async def _claim_and_run(self, offer: Offer) -> None:
        try:
            claim = await self._claiming.claim(offer.execution_id, ClaimRequest(worker=self.name[:200], with_plan=True))
        except Refused as refusal:
            # Another worker was faster, somebody cancelled it, or its queue takes no more now.
            self._logger.info("execution %s is not ours: %s", offer.execution_id, refusal.code)
            return
        # Before anything is awaited, so that no other claim has taken its place.
        claimed_at = self._claiming.sent_at
        child = await self._processes.take(beyond=offer.execution_id in self._in_place_of)
        self._at_work[offer.execution_id] = child
        self._logger.info("execution %s is carried out by process %s", offer.execution_id, child.pid)
        try:
            child.assign(await self._assignment(offer, claim, claimed_at))
            code = await child.ended
        except ForkServerGone:
            code = -signal.SIGKILL
        except BaseException:
            # It has been taken and waits for an assignment, which nobody else will give to it.
            self._processes.kill(child)
            raise
        finally:
            del self._at_work[offer.execution_id]
        if code != 0:
            await self._report_lost(offer, claim, code)

    async def _assignment(self, offer: Offer, claim: Claim, claimed_at: float) -> Assignment:
        return Assignment(
            claim=claim,
            claimed_at=claimed_at,
            control_plane_url=_url(),
            flow_run_id=offer.flow_run_id,
            flow_id=await self._flow_of(offer.flow_run_id),
            prefect_api_url=str(get_current_settings().api.url),
        )

    async def _flow_of(self, flow_run_id: UUID) -> UUID:
        """There is one flow, so that it has to be asked for once."""
        if self._flow_id is None:
            self._flow_id = (await self.client.read_flow_run(flow_run_id)).flow_id
        return self._flow_id

    async def _report_lost(self, offer: Offer, claim: Claim, code: int) -> None:
        """Say at once what the lease would tell later: that a process ended without an end of its execution."""
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        self._logger.error("the process of execution %s %s", offer.execution_id, how)
        text = (
            f"The process that carried it out {how}. A tool call may have been under way, so the execution is not"
            " repeated by itself: look at its events, then start it again."
        )
        finish = Finish(fence=claim.fence, status=FinalStatus.FAILED, error=text, code=WORKER_LOST)
        try:
            async with WorkerClient(_url(), claim.execution_token) as client:
                await client.finish(offer.execution_id, finish)
        except ControlPlaneError as error:
            # It had told its end before, or the lease has run out meanwhile.
            self._logger.info("execution %s: %s", offer.execution_id, error)
        with contextlib.suppress(ObjectNotFound):
            run = await self.client.read_flow_run(offer.flow_run_id)
            await self._propose_crashed_state(run, f"The process of the execution {how}.")


def _on_its_way_out(executions: int) -> str:
    if not executions:
        return "Leaving: no execution is under way."
    return f"Finishing {executions} execution{'s' * (executions > 1)}; a second request stops what is under way."


async def _stopped(tasks: "Sequence[asyncio.Task[Any]]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _url() -> str:
    return os.environ["CONTROL_PLANE_URL"]


def _credential() -> str:
    return os.environ["CONTROL_PLANE_API_KEY"]

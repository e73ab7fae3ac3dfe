"""The work of one claim: what is done between claim and finish, and how it ends."""

import asyncio
import logging
from contextlib import aclosing
from dataclasses import dataclass

from pydantic import JsonValue

from control_plane.client import API_PREFIX, ControlPlaneError, Refused, WorkerClient
from control_plane.wire.executions import MAX_BATCH_BYTES, Claim, EventType, FinalStatus, Finish, Usage
from control_plane.wire.plan import Plan
from flows import structured_output
from flows.dialogue import Dialogue
from flows.fitting import MAX_ERROR_BYTES, cut, size
from flows.lease import Lease, LeaseLost, is_lost
from flows.origin import origin
from flows.provisions import ControlPlaneProvisions
from flows.reporting import Reporter
from flows.runtimes.installed import load
from flows.runtimes.protocol import Conversation, ModelEndpoint, RunFailed, Setup
from flows.system_prompt import system_prompt
from flows.tool_calls import ToolCalls
from flows.workspace import sweep, workspace
from policies.regorus_engine import RegorusEngine
from toolsets.registry import Registry, ToolsetNotFound

logger = logging.getLogger(__name__)

_UNEXPECTED = "The execution failed unexpectedly. The log of the worker says where."


_MOST_OUTPUT_BYTES = MAX_BATCH_BYTES // 2
"""Of a structured answer, which is told as text, too."""


@dataclass(frozen=True, slots=True)
class _Answer:
    response: str
    output: dict[str, JsonValue] | None = None


class Work:
    """What one process does for one claim. It stops as soon as the lease is lost or a cancellation is asked for."""

    def __init__(self, url: str, client: WorkerClient, claim: Claim) -> None:
        self._url = url.rstrip("/")
        self._client = client
        self._claim = claim
        self._id = claim.execution_id
        self._reporter = Reporter(client, self._id, fence=claim.fence)
        self._lease: Lease | None = None
        self._task: asyncio.Task[_Answer] | None = None
        self._calls: ToolCalls | None = None
        self._dialogue: Dialogue | None = None

    def lease(self, *, confirmed_at: float) -> Lease:
        """The lease that this work depends on. Enter it before anything else is done."""
        self._lease = Lease(
            self._url, self._claim, confirmed_at=confirmed_at, on_lost=self._abandon, on_cancel=self._stop
        )
        return self._lease

    async def outcome(self) -> Finish | None:
        """Do the work. How it ended, or None if it isn't ours to say."""
        self._task = asyncio.create_task(self._run(), name="execution")
        if self._held.lost:
            self._abandon()
        finish = await self._judged(self._task)
        return None if self._held.lost else finish

    @property
    def _held(self) -> Lease:
        if self._lease is None:
            raise RuntimeError("work needs its lease first")
        return self._lease

    def _stop(self) -> None:
        if self._task:
            self._task.cancel()

    def _abandon(self) -> None:
        self._reporter.abandon(LeaseLost())
        self._stop()

    async def _judged(self, work: "asyncio.Task[_Answer]") -> Finish | None:
        try:
            result = await work
        except asyncio.CancelledError:
            if (me := asyncio.current_task()) and me.cancelling():
                raise
            if self._held.cancel_requested:
                return self._finish(FinalStatus.CANCELLED, error="Cancelled on request.")
            return self._finish(FinalStatus.FAILED, error=_UNEXPECTED, code="internal_error")
        except LeaseLost:
            return None
        except ControlPlaneError as error:
            return self._untold(error)
        except RunFailed as failure:
            logger.error("execution %s failed: %s", self._id, failure.code)  # noqa: TRY400 - its text isn't for the log
            return self._finish(FinalStatus.FAILED, error=str(failure), code=failure.code)
        return self._finish(FinalStatus.COMPLETED, response=result.response, output=result.output)

    def _untold(self, error: ControlPlaneError) -> Finish | None:
        if not isinstance(error, Refused):
            text = "The control plane didn't answer for too long while the execution was under way."
            return self._finish(FinalStatus.FAILED, error=text, code="control_plane_unreachable")
        if is_lost(error):
            return None
        logger.error("execution %s: a report was refused: %s", self._id, error.code)
        text = f"The control plane refused a report of the worker ({error.status} {error.code}): {error}"
        return self._finish(FinalStatus.FAILED, error=text, code="report_refused")

    def _finish(
        self,
        status: FinalStatus,
        *,
        response: str | None = None,
        output: dict[str, JsonValue] | None = None,
        error: str | None = None,
        code: str | None = None,
    ) -> Finish:
        made = self._calls.made if self._calls else 0
        usage = self._dialogue.usage if self._dialogue else Usage()
        room = MAX_BATCH_BYTES - (size(output) if output else 0)
        return Finish(
            fence=self._claim.fence,
            status=status,
            response=None if response is None else cut(response, room),
            output=output,
            error=None if error is None else cut(error, MAX_ERROR_BYTES),
            code=code,
            usage=usage.model_copy(update={"tool_calls": made}),
        )

    async def _run(self) -> _Answer:
        async with self._reporter as reporter:
            try:
                plan = self._claim.plan or await self._client.plan(self._id)
                result = await self._within_limit(plan, reporter)
                await reporter.flush()
                return result
            except (ControlPlaneError, LeaseLost):
                raise
            except (Exception, SystemExit) as error:
                failure = self._explained(error)
                await reporter.emit(EventType.ERROR, {"error": cut(str(failure), MAX_ERROR_BYTES)})
                raise failure from error

    async def _within_limit(self, plan: Plan, reporter: Reporter) -> _Answer:
        seconds = plan.limits.execution_seconds
        try:
            async with asyncio.timeout(seconds) as limit:
                return await self._converse(plan, reporter)
        except TimeoutError as error:
            # A runtime may raise one of its own, which is a bug of the runtime.
            if not limit.expired():
                raise
            text = f"The execution took longer than {seconds:g} s and was stopped."
            raise RunFailed(text, code="execution_timeout") from error

    def _explained(self, error: BaseException) -> RunFailed:
        match error:
            case RunFailed():
                return error
            case ToolsetNotFound():
                return RunFailed(str(error), code="toolset_not_found")
            case _:
                logger.error("execution %s failed unexpectedly\n%s", self._id, origin(error))
                return RunFailed(_UNEXPECTED, code="internal_error")

    async def _converse(self, plan: Plan, reporter: Reporter) -> _Answer:
        # What loads foreign code or walks over folders may take long, and others must be heard meanwhile.
        runtime = await asyncio.to_thread(load, plan.agent.agent_type)
        await asyncio.to_thread(sweep)
        name = f"{self._id}-{self._claim.fence}"
        with workspace(name) as folder, workspace(f"{name}-runtime") as own_folder:
            # Its process starts with the first decision: many a conversation needs none.
            async with aclosing(RegorusEngine()) as engine:
                provisions = ControlPlaneProvisions(self._client, self._id, fence=self._claim.fence)
                self._calls = ToolCalls(plan, engine, reporter.emit, self._told, folder, provisions)
                async with self._calls.opened(await asyncio.to_thread(Registry)) as tools:
                    self._dialogue = Dialogue(
                        tools, emit=reporter.emit, max_turns=plan.limits.max_turns, history=plan.input.history
                    )
                    setup = Setup(
                        agent=plan.agent.name,
                        instructions=system_prompt(plan),
                        model=plan.model,
                        tools=self._dialogue.tools,
                        endpoint=self._endpoint(),
                        folder=own_folder,
                    )
                    async with runtime.open(setup) as conversation:
                        return await _answer(plan, self._dialogue, conversation)

    def _endpoint(self) -> ModelEndpoint:
        gateway = f"{self._url}{API_PREFIX}/llm"
        return ModelEndpoint(
            openai_url=f"{gateway}/openai/v1",
            anthropic_url=f"{gateway}/anthropic",
            token=self._claim.execution_token,
        )

    async def _told(self) -> None:
        await self._reporter.flush()
        self._held.check()


async def _answer(plan: Plan, dialogue: Dialogue, conversation: Conversation) -> _Answer:
    response = await dialogue.say(conversation, plan.input.message)
    if plan.output_schema is None:
        return _Answer(response)
    response, output = await structured_output.fitted(dialogue, conversation, response, plan.output_schema)
    if size(output) > _MOST_OUTPUT_BYTES:
        raise RunFailed(
            f"The answer has {size(output)} bytes. The most that can be kept of one is {_MOST_OUTPUT_BYTES}: let the"
            " agent answer with less, or write into a file.",
            code="output_too_long",
        )
    return _Answer(response, output)

"""One execution, from claim to finish. This is the flow that Prefect runs."""

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from control_plane.client import API_PREFIX, ControlPlaneError, Refused, Unreachable, WorkerClient
from control_plane.wire.executions import Claim, ClaimRequest, EventType, FinalStatus, Finish, Usage
from control_plane.wire.plan import Plan
from flows.reporting import Reporter
from flows.runtimes.protocol import ModelEndpoint, RunFailed, RunResult, load
from flows.tool_calls import ToolCalls
from policies.regorus_engine import RegorusEngine
from toolsets.registry import Registry, ToolsetNotFound

logger = logging.getLogger(__name__)

LEASE_LOST = "lease_lost"


@flow(name="agent-execution", persist_result=False, retries=0, validate_parameters=False)
async def execute_agent(execution_id: str) -> State[None]:
    """Claim the execution, fetch its plan, carry it out under policy, and say how it ended.

    Prefect learns the outcome only: prompts, arguments, results and secrets go to the control plane and nowhere else.
    """
    url, worker_key = _take_credentials()
    request = ClaimRequest(worker=socket.gethostname())
    async with WorkerClient(url, worker_key) as worker:
        try:
            claim = await worker.claim(UUID(execution_id), request)
        except Refused as refusal:
            if refusal.code == "execution_ended":
                return Cancelled(message="The execution had ended before this run could claim it.")
            return Failed(message=f"The control plane refused the claim: {refusal.code}")
    async with WorkerClient(url, claim.execution_token) as client:
        return await _Work(url, client, claim).carry_out()


def _take_credentials() -> tuple[str, str]:
    """The control plane's URL, and the worker key, which no agent or tool may find in the environment afterwards."""
    try:
        return os.environ["CONTROL_PLANE_URL"], os.environ.pop("CONTROL_PLANE_API_KEY")
    except KeyError as missing:
        raise RuntimeError(
            f"{missing.args[0]} is not set. Start the worker with CONTROL_PLANE_URL and CONTROL_PLANE_API_KEY."
        ) from None


class _Work:
    """What one process does for one claim."""

    def __init__(self, url: str, client: WorkerClient, claim: Claim) -> None:
        self._url = url.rstrip("/")
        self._client = client
        self._claim = claim
        self._id = claim.execution_id
        self._cancel_requested = False
        self._lease_lost = False
        self._tool_calls = 0

    async def carry_out(self) -> State[None]:
        work = asyncio.create_task(self._run(), name="execution")
        renewal = asyncio.create_task(self._keep_lease(work), name="lease")
        try:
            finish = await self._outcome(work)
        finally:
            renewal.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewal
        if finish is None:
            return Failed(message="The lease was lost: another claim or an end of the execution came first.")
        await self._client.finish(self._id, finish)
        match finish.status:
            case FinalStatus.COMPLETED:
                return Completed()
            case FinalStatus.CANCELLED:
                return Cancelled(message="Cancelled on request.")
            case FinalStatus.FAILED:
                return Failed(message=f"The execution failed: {finish.code}. Its events say why.")

    async def _outcome(self, work: "asyncio.Task[RunResult]") -> Finish | None:
        """How the work ended, or None if it isn't ours to say."""
        try:
            result = await work
        except asyncio.CancelledError:
            if self._cancel_requested:
                return self._finish(FinalStatus.CANCELLED, error="Cancelled on request.")
            if self._lease_lost:
                return None
            raise
        except Refused as refusal:
            if refusal.code == LEASE_LOST:
                return None
            raise
        except RunFailed as failure:
            logger.error("execution %s failed: %s", self._id, failure.code)  # noqa: TRY400 - its text isn't for the log
            return self._finish(FinalStatus.FAILED, error=str(failure), code=failure.code)
        return self._finish(FinalStatus.COMPLETED, response=result.response, usage=result.usage)

    def _finish(
        self,
        status: FinalStatus,
        *,
        response: str | None = None,
        error: str | None = None,
        code: str | None = None,
        usage: Usage | None = None,
    ) -> Finish:
        counted = (usage or Usage()).model_copy(update={"tool_calls": self._tool_calls})
        return Finish(fence=self._claim.fence, status=status, response=response, error=error, code=code, usage=counted)

    async def _run(self) -> RunResult:
        plan = await self._client.plan(self._id)
        async with Reporter(self._client, self._id, fence=self._claim.fence) as reporter:
            try:
                async with asyncio.timeout(plan.limits.execution_seconds):
                    result = await self._converse(plan, reporter)
                await reporter.flush()
                return result
            except ControlPlaneError:
                raise
            except Exception as error:
                failure = self._explained(error, plan)
                await reporter.emit(EventType.ERROR, {"error": str(failure)})
                raise failure from error

    def _explained(self, error: Exception, plan: Plan) -> RunFailed:
        match error:
            case RunFailed():
                return error
            case ToolsetNotFound():
                return RunFailed(str(error), code="toolset_not_found")
            case TimeoutError():
                return RunFailed(
                    f"The execution took longer than {plan.limits.execution_seconds:g} s and was stopped.",
                    code="execution_timeout",
                )
            case _:
                logger.error("execution %s failed unexpectedly", self._id, exc_info=error)
                return RunFailed(
                    "The execution failed unexpectedly. The logs of its flow run and of the worker say why.",
                    code="internal_error",
                )

    async def _converse(self, plan: Plan, reporter: Reporter) -> RunResult:
        runtime = load(plan.agent.agent_type)
        endpoint = ModelEndpoint(openai_url=f"{self._url}{API_PREFIX}/llm/openai/v1", token=self._claim.execution_token)
        with _workspace() as workspace:
            async with RegorusEngine() as engine:
                calls = ToolCalls(plan, engine, reporter.emit, workspace)
                try:
                    return await runtime.run(
                        plan, tools=calls.govern(Registry()), endpoint=endpoint, emit=reporter.emit
                    )
                finally:
                    self._tool_calls = calls.made

    async def _keep_lease(self, work: "asyncio.Task[RunResult]") -> None:
        while True:
            await asyncio.sleep(self._claim.renew_every_seconds)
            try:
                renewal = await self._client.renew(self._id, self._claim.fence)
            except Unreachable as error:
                logger.warning("the lease could not be renewed yet: %s", error)
            except Refused as refusal:
                logger.warning("the lease is lost: %s", refusal.code)
                self._lease_lost = True
                work.cancel()
                return
            else:
                if renewal.cancel_requested and not self._cancel_requested:
                    self._cancel_requested = True
                    work.cancel()


@contextmanager
def _workspace() -> Iterator[Path]:
    """An empty folder for this execution's files, removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="control-plane-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)

"""Executions as Prefect flow runs: one work pool and one deployment for each environment."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.filters import WorkQueueFilter
from prefect.client.schemas.objects import State
from prefect.context import SettingsContext, get_settings_context
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES
from prefect.states import Cancelling, Crashed, Scheduled
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random

from deployments.catalog import ENTRYPOINT, FLOW_NAME, PARAMETER, deployment_name
from deployments.orchestrator import (
    OrchestratorRefused,
    OrchestratorUnavailable,
    Queue,
    RunRequest,
    RunState,
    RunStatus,
)
from workpools.pool_template import BASE_JOB_TEMPLATE, WORKER_TYPE

_TIMEOUT = httpx.Timeout(10.0, connect=3.0)
_LIMITS = httpx.Limits(max_connections=16, keepalive_expiry=3.0)
"""Prefect's server closes a connection that was idle for 5 s, and no request should meet a closed one."""
_DEFAULT_QUEUE = "default"
"""Prefect makes one in each work pool and lets nobody delete it."""
_MOST_LISTED = 200
"""Prefect lists no more at once; an environment has at most half as many queues."""
_REMOVALS_AT_ONCE = 20
"""Prefect deletes 50 flow runs a request: a thousand, then the reconciler has time for others."""


class _Busy(OrchestratorUnavailable):
    """Prefect would have us come again: on SQLite, one of two transactions that meet is told so at once."""


_come_again = retry(
    retry=retry_if_exception_type(_Busy), stop=stop_after_attempt(8), wait=wait_random(0.02, 0.2), reraise=True
)


async def _told_to_come_again(response: httpx.Response) -> None:
    """Raise what is to be tried again as soon as the answer is there.

    Prefect's client sleeps for two seconds and more after such an answer, even if it is to try no more.
    """
    if response.status_code in {408, 429, 502, 503}:
        raise _explained(response.status_code)


class PrefectOrchestrator:
    """Talks to one Prefect server. One instance serves a whole process."""

    def __init__(self, *, api_url: str, ui_url: str, auth_string: str | None) -> None:
        self._api_url = api_url.rstrip("/")
        self._ui_url = ui_url.rstrip("/")
        self._auth_string = auth_string
        self._opened: PrefectClient | None = None
        self._opening = asyncio.Lock()
        self._deployments: dict[str, UUID] = {}
        context = get_settings_context()
        self._profile = context.profile
        self._settings = context.settings.copy_with_update(updates={PREFECT_CLIENT_MAX_RETRIES: 0})

    @_come_again
    async def ensure_environment(self, work_pool: str, queues: Sequence[Queue]) -> None:
        """Create or correct the work pool, its deployment and its queues."""
        await self._ensure_pool(work_pool)
        async with self._client() as client:
            # All three are said because the server refuses the nulls that the client sends for what isn't.
            listed = await client.read_work_queues(
                work_pool_name=work_pool, work_queue_filter=WorkQueueFilter(), limit=_MOST_LISTED, offset=0
            )
            existing = {queue.name: queue.id for queue in listed}
            for name in existing.keys() - {queue.name for queue in queues} - {_DEFAULT_QUEUE}:
                await client.delete_work_queue_by_id(existing[name])
            # From the first to the last, each of them: Prefect moves those behind out of the way.
            for rank, queue in enumerate(queues, start=1):
                if queue.name not in existing:
                    made = await client.create_work_queue(queue.name, work_pool_name=work_pool, priority=rank)
                    existing[queue.name] = made.id
                await client.update_work_queue(
                    existing[queue.name],
                    priority=rank,
                    description=queue.description,
                    concurrency_limit=queue.concurrency_limit,
                    is_paused=queue.paused,
                )

    @_come_again
    async def remove_environment(self, work_pool: str) -> bool:
        """Delete the flow runs of the deployment, a thousand at once, then the deployment and the work pool."""
        self._deployments.pop(work_pool, None)
        async with self._client() as client:
            with contextlib.suppress(ObjectNotFound):
                deployment = await client.read_deployment_by_name(f"{FLOW_NAME}/{deployment_name(work_pool)}")
                if not await _runs_deleted(client, deployment.id):
                    return False
                await client.delete_deployment(deployment.id)
            with contextlib.suppress(ObjectNotFound):
                await client.delete_work_pool(work_pool)
        return True

    async def _ensure_pool(self, work_pool: str) -> None:
        async with self._client() as client:
            try:
                await client.create_work_pool(
                    WorkPoolCreate(name=work_pool, type=WORKER_TYPE, base_job_template=BASE_JOB_TEMPLATE)
                )
            except ObjectAlreadyExists:
                await client.update_work_pool(work_pool, WorkPoolUpdate(base_job_template=BASE_JOB_TEMPLATE))
            flow_id = await client.create_flow_from_name(FLOW_NAME)
            self._deployments[work_pool] = await client.create_deployment(
                flow_id=flow_id,
                name=deployment_name(work_pool),
                entrypoint=ENTRYPOINT,
                work_pool_name=work_pool,
                enforce_parameter_schema=False,
            )

    @_come_again
    async def start(self, request: RunRequest) -> UUID:
        """Create the flow run; Prefect's idempotency key makes a repeat find the one that exists."""
        if request.work_pool not in self._deployments:
            await self._ensure_pool(request.work_pool)
        try:
            return await self._create_run(request)
        except ObjectNotFound:
            # The server was replaced by an empty one since we looked.
            await self._ensure_pool(request.work_pool)
            return await self._create_run(request)

    async def _create_run(self, request: RunRequest) -> UUID:
        async with self._client() as client:
            run = await client.create_flow_run_from_deployment(
                self._deployments[request.work_pool],
                parameters={PARAMETER: str(request.execution_id)},
                name=f"{request.tags.get('agent', 'execution')}-{str(request.execution_id)[:8]}",
                tags=[f"{subject}:{name}" for subject, name in request.tags.items()],
                idempotency_key=f"{request.execution_id}:{request.attempt}",
                state=Scheduled(),
            )
        return run.id

    @_come_again
    async def cancel(self, run_id: UUID) -> None:
        """Ask Prefect to cancel the run."""
        status = await self.status(run_id)
        if status.state in {RunState.ENDED, RunState.MISSING}:
            return
        async with self._client() as client:
            await client.set_flow_run_state(run_id, Cancelling())

    @_come_again
    async def give_up(self, run_id: UUID) -> None:
        """Note in Prefect that the run has crashed."""
        status = await self.status(run_id)
        if status.state in {RunState.ENDED, RunState.MISSING}:
            return
        async with self._client() as client:
            lost: State[Any] = Crashed(message="The worker stopped answering and lost its lease.")
            await client.set_flow_run_state(run_id, lost, force=True)

    @_come_again
    async def status(self, run_id: UUID) -> RunStatus:
        """The state Prefect has for the run."""
        try:
            async with self._client() as client:
                run = await client.read_flow_run(run_id)
        except ObjectNotFound:
            return RunStatus(RunState.MISSING, "Prefect doesn't know the flow run")
        state = run.state
        if state is None or state.is_scheduled():
            return RunStatus(RunState.WAITING, "Prefect has no worker for it yet")
        detail = f"{state.name}: {state.message}" if state.message else str(state.name)
        return RunStatus(RunState.ENDED if state.is_final() else RunState.HANDED_OUT, detail, since=state.timestamp)

    def run_url(self, run_id: UUID) -> str:
        """The page of the flow run in the Prefect UI."""
        return f"{self._ui_url}/runs/flow-run/{run_id}"

    async def check(self) -> None:
        """Return if the Prefect API answers and accepts our credential."""
        async with self._client() as client:
            response = await client._client.get("/admin/version")  # noqa: SLF001 - hello() ignores the credential
            response.raise_for_status()

    async def aclose(self) -> None:
        """Close the connection to Prefect."""
        if self._opened is not None:
            await self._opened.__aexit__(None, None, None)
            self._opened = None

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[PrefectClient]:
        try:
            # The reconciler repeats what fails; Prefect's own retries would hold a dispatch for minutes.
            with SettingsContext(profile=self._profile, settings=self._settings):
                yield await self._open()
        except (ObjectNotFound, ObjectAlreadyExists):
            raise
        except (PrefectHTTPStatusError, httpx.HTTPStatusError) as error:
            raise _explained(error.response.status_code) from error
        except httpx.TransportError as error:
            raise OrchestratorUnavailable(
                f"Prefect at {self._api_url} doesn't answer ({type(error).__name__})"
            ) from error

    async def _open(self) -> PrefectClient:
        async with self._opening:
            if self._opened is None:
                client = PrefectClient(
                    self._api_url,
                    auth_string=self._auth_string,
                    httpx_settings={
                        "timeout": _TIMEOUT,
                        "limits": _LIMITS,
                        "event_hooks": {"response": [_told_to_come_again]},
                    },
                )
                self._opened = await client.__aenter__()
            return self._opened


async def _runs_deleted(client: PrefectClient, deployment_id: UUID) -> bool:
    body = {"flow_runs": {"deployment_id": {"any_": [str(deployment_id)]}}}
    for _ in range(_REMOVALS_AT_ONCE):
        response = await client._client.post("/flow_runs/bulk_delete", json=body)  # noqa: SLF001 - no method for it
        if not response.json()["deleted"]:
            return True
    return False


def _explained(status: int) -> Exception:
    if status in {401, 403}:
        return OrchestratorUnavailable(
            "Prefect refuses our credential; set CONTROL_PLANE_PREFECT_AUTH_STRING to its auth string"
        )
    if status == 503:
        return _Busy("Prefect answered 503")
    if status in {408, 429} or status >= 500:
        return OrchestratorUnavailable(f"Prefect answered {status}")
    return OrchestratorRefused(f"Prefect answered {status}; its log says why")

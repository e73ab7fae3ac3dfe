"""One flow run through Prefect's own engine, without the questions whose answers are known already.

What is left out, and why the history of the run stays true:

- The version check and the CSRF token: the worker has made sure of the version, and a token in a header can't be forged
  by another site.
- Reading the flow, which is the one there is.
- Reading the flow run back after each state: nobody else sets states of a run that we have claimed, and one who cancels
  it says so through the control plane.
- Setting the flow run's version and retry policy, which are the same for all.
- Watching for a suspension that somebody asks for in the Prefect UI: a WebSocket and a thread for each run. Executions
  are paused through the control plane. Prefect's engine watches runs that know their deployment; this one doesn't.
- Heartbeats: the control plane knows by the lease who is at work.
- Clients of their own for logs, and for what tasks tell, a WebSocket. Both leave together over the run's one client.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client import orchestration
from prefect.client.orchestration import PrefectClient, SyncPrefectClient
from prefect.client.schemas.actions import LogCreate
from prefect.client.schemas.objects import Flow as PrefectFlow
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import OrchestrationResult
from prefect.context import AsyncClientContext, SyncClientContext, get_settings_context
from prefect.events import Event
from prefect.events.worker import EventsWorker
from prefect.flow_engine import run_flow_async
from prefect.flows import Flow
from prefect.logging.configuration import setup_logging
from prefect.states import Scheduled
from pydantic import SecretStr

from control_plane.client import trusted
from control_plane.wire.executions import CLAIM_VARIABLE, Handover
from workpools.assignment import Assignment, flow_run_name
from workpools.history import History

ENTRYPOINT = "flows.agent_execution:execute_agent"
"""The one flow there is, by name: what runs below a flow is no import of this package."""

PARAMETER = "execution_id"

_PRELOADED = (
    "prefect.main",
    "prefect.flow_engine",
    "prefect.task_engine",
    "prefect.events.clients",
    "prefect.events.worker",
    "flows.agent_execution",
    "flows.runtimes.agno",
    # 40 MB that all share, for 0.9 s of each execution that needs it. Claude Code is a process of its own anyway.
    "flows.runtimes.openai_agents",
    "toolsets.builtin.clock",
    "toolsets.builtin.files",
)
"""By name: what runs below a flow is no import of this package."""

_IMPORTED_LATE = (
    "agno.agent._hooks",
    "agno.agent._response",
    "agno.agent._telemetry",
    "agno.fs",
    "agno.offload",
    "agno.team",
    "agno.utils.callables",
    "anyio._backends._asyncio",
    "encodings.idna",
    "openai.lib.streaming.chat",
    "openai.resources",
    "prefect.utilities.visualization",
    "rich._emoji_codes",
)
"""What those import when it is first used: half a second that each child would spend again. A name that a later version
of theirs doesn't have costs that time, and nothing else."""

_LAST_EVENTS_SECONDS = 5.0


def prepare() -> None:
    """What can be done before a process is forked: imports, certificates, and the loggers of Prefect."""
    for name in _PRELOADED:
        import_module(name)
    for name in _IMPORTED_LATE:
        with contextlib.suppress(ImportError):
            import_module(name)
    trusted()
    _flow()
    for model in (FlowRun, OrchestrationResult, LogCreate, Event):
        # Pydantic builds these when they are first used, each process for itself.
        model.model_rebuild()
    setup_logging()
    for name in ("flows", "toolsets", "policies"):
        logging.getLogger(name).setLevel(logging.INFO)


def warm_up() -> None:
    """What each process has to do for itself, and can do before it knows for whom."""
    settings = get_settings_context().settings
    settings.home = Path(os.environ["PREFECT_HOME"])


def carry_out(assignment: Assignment) -> int:
    """Run the flow. 0: Prefect knows how it ended."""
    settings = get_settings_context().settings
    settings.api.url = assignment.prefect_api_url
    settings.api.key = SecretStr(assignment.claim.execution_token)
    settings.flows.heartbeat_frequency = None
    # A Prefect that is started again is waited for, as long as the execution token holds after the end: 1 s each.
    settings.client.max_retries = 50
    os.environ["CONTROL_PLANE_URL"] = assignment.control_plane_url
    handed = Handover(claim=assignment.claim, claimed_at=assignment.claimed_at)
    os.environ[CLAIM_VARIABLE] = handed.model_dump_json()
    return asyncio.run(_run(assignment))


async def _run(assignment: Assignment) -> int:
    claim = assignment.claim
    run = FlowRun(
        id=assignment.flow_run_id,
        flow_id=assignment.flow_id,
        name=flow_run_name(claim.plan.agent.name, claim.execution_id) if claim.plan else str(claim.execution_id),
        state=Scheduled(),
        parameters={PARAMETER: str(claim.execution_id)},
    )
    async with _client(assignment, run) as client, History(client):
        state = await run_flow_async(_flow(), flow_run=run, parameters=run.parameters, return_type="state")
        # Tasks of the run are told as events, by a thread of Prefect's.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_EVENTS_SECONDS):
                await asyncio.to_thread(EventsWorker.drain_all)
    return 0 if state is not None and state.is_final() else 1


class _Client(PrefectClient):
    """Prefect's client for one run that is known already."""

    def __init__(self, run: FlowRun, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._run = run

    async def raise_for_api_version_mismatch_once(self) -> None:
        """The worker has asked."""

    async def read_flow_run(self, flow_run_id: UUID) -> FlowRun:
        """The run as this process has left it, or somebody else's."""
        return self._run if flow_run_id == self._run.id else await super().read_flow_run(flow_run_id)

    async def read_flow(self, flow_id: UUID) -> PrefectFlow:
        """The one flow there is."""
        if flow_id != self._run.flow_id:
            return await super().read_flow(flow_id)
        return PrefectFlow(id=flow_id, name=_flow().name, labels={})

    async def update_flow_run(self, flow_run_id: UUID, *arguments: Any, **changes: Any) -> Any:
        """Leave what is the same for all runs of our flow."""
        if flow_run_id != self._run.id:
            return await super().update_flow_run(flow_run_id, *arguments, **changes)
        return None


@asynccontextmanager
async def _client(assignment: Assignment, run: FlowRun) -> AsyncIterator[PrefectClient]:
    entered: dict[str, Any] = {
        "api_key": assignment.claim.execution_token,
        "httpx_settings": {"verify": trusted()},
    }
    client = _Client(run, assignment.prefect_api_url, **entered)
    # The thread that tells of tasks makes a client for itself, reads certificates for it, and asks it for the flow.
    orchestration.get_client = lambda **_settings: _Client(run, assignment.prefect_api_url, **entered)  # type: ignore[assignment]
    # The engine wants one that blocks too. Both contexts would make clients of their own if they were constructed.
    unused: dict[str, Any] = {"_httpx_settings": None, "_context_stack": 0}
    blocking = SyncClientContext.model_construct(
        client=SyncPrefectClient(assignment.prefect_api_url, **entered), **unused
    )
    waiting = AsyncClientContext.model_construct(client=client, **unused)
    with blocking:
        async with waiting:
            yield client


@cache
def _flow() -> Flow[..., Any]:
    module, _, name = ENTRYPOINT.partition(":")
    flow: Flow[..., Any] = getattr(import_module(module), name)
    # Nothing is stored, but the engine wants to know where, and would ask the server.
    flow.result_storage = Path("results")
    return flow

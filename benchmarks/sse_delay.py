"""How long an event travels: from the worker that reports it, through API and PostgreSQL, to whoever follows."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import httpx
from httpx_sse import aconnect_sse

from benchmarks.figures import Figure, percentile
from benchmarks.running import assistant, progress, request, running_stack
from control_plane import __version__
from control_plane.client import API_PREFIX, JoiningClient, WorkerClient
from control_plane.embedded.bootstrap import Tenant
from control_plane.embedded.stack import Stack
from control_plane.rest import Rest
from control_plane.wire.executions import Claim, ClaimRequest, EventReport, EventType, ReportedEvent
from control_plane.wire.joining import JoinRequest, WorkerSession

EVENTS = 400
WARM_UP = 50
EVERY_SECONDS = 0.02
"""About the pace at which a fast model's tokens arrive."""
P50_LIMIT_MS = 25.0
P99_LIMIT_MS = 100.0
"""A reader doesn't see a tenth of a second. Typing and token streams feel immediate below it."""


def measure() -> Iterator[Figure]:
    """p50 and p99 over single events of one execution, one report each, so that nothing hides in a batch."""
    with running_stack() as (stack, tenant):
        with Rest(stack.api_url, tenant.api_key) as rest:
            execution = rest.post("/executions", request(assistant(rest, tenant)))
        progress(f"{EVENTS} events, one every {EVERY_SECONDS * 1000:.0f} ms")
        delays = asyncio.run(_measure(stack, tenant, UUID(execution["id"])))
    yield Figure("sse_delay.p50", percentile(delays, 50), "ms", limit=P50_LIMIT_MS)
    yield Figure("sse_delay.p99", percentile(delays, 99), "ms", limit=P99_LIMIT_MS)


async def _measure(stack: Stack, tenant: Tenant, execution_id: UUID) -> list[float]:
    # No worker runs, so the execution is ours to claim.
    session = await asyncio.to_thread(joined, stack, tenant)
    async with WorkerClient(stack.api_url, session.session_token) as worker:
        claim = await worker.claim(execution_id, ClaimRequest(worker="benchmark"))
    following = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(_delays(stack, tenant, execution_id, following))
        await following.wait()
        tasks.create_task(_report(stack, claim))
    return reading.result()


def joined(stack: Stack, tenant: Tenant) -> WorkerSession:
    """The session of a worker that does what the benchmark tells it."""
    client = JoiningClient(stack.api_url, tenant.worker_key)
    request = JoinRequest(
        name="benchmark", version=__version__, python_version="", prefect_version="", platform="", hostname=""
    )
    try:
        return client.start_in_pool(tenant.environment["work_pool"], request)
    finally:
        client.close()


async def _report(stack: Stack, claim: Claim) -> None:
    async with WorkerClient(stack.api_url, claim.execution_token) as client:
        clock = asyncio.get_running_loop()
        due = clock.time()
        for sequence in range(1, WARM_UP + EVENTS + 1):
            due += EVERY_SECONDS
            await asyncio.sleep(due - clock.time())
            event = ReportedEvent(
                sequence=sequence,
                type=EventType.MESSAGE_CHUNK,
                data={"data": {"content": "word ", "message_id": "1"}},
                occurred_at=datetime.now(UTC),
            )
            await client.report(claim.execution_id, EventReport(fence=claim.fence, events=[event]))


async def _delays(stack: Stack, tenant: Tenant, execution_id: UUID, following: asyncio.Event) -> list[float]:
    """Milliseconds from `occurred_at`, which the server sends back as `timestamp`, to the arrival of each event."""
    delays: list[float] = []
    headers = {"Authorization": f"Bearer {tenant.api_key}"}
    url = f"{stack.api_url}{API_PREFIX}/executions/{execution_id}/stream"
    async with (
        httpx.AsyncClient(headers=headers, timeout=30.0, trust_env=False) as http,
        aconnect_sse(http, "GET", url) as source,
    ):
        source.response.raise_for_status()
        async for event in source.aiter_sse():
            arrived = datetime.now(UTC)
            following.set()  # the events that tell of the claim come first
            if event.event == EventType.MESSAGE_CHUNK:
                occurred_at = datetime.fromisoformat(json.loads(event.data)["timestamp"])
                delays.append((arrived - occurred_at).total_seconds() * 1000)
            if len(delays) == WARM_UP + EVENTS:
                return delays[WARM_UP:]
    raise RuntimeError(f"the stream ended after {len(delays)} events")

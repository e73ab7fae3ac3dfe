"""What workers cost that have nothing to do: `WORKERS` of one environment wait at one API process.

Each has joined and waits as a worker does: it asks for work, is answered after `WAIT_SECONDS` that there is none, and
asks again. Measured without and with the signs of life that workers give, and how soon one of them is woken by an
execution, beside how soon one that waits alone is.
"""

import asyncio
import json
import resource
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from benchmarks.figures import Figure, percentile
from benchmarks.load import exchange
from benchmarks.running import assistant, cpu_seconds, progress, request, resident_mb, running_stack
from control_plane import __version__
from control_plane.client import API_PREFIX, JoiningClient
from control_plane.embedded.bootstrap import Tenant
from control_plane.embedded.stack import Stack
from control_plane.rest import Rest
from control_plane.wire.joining import JoinRequest

WORKERS = 1_000
WAKES = 20
OBSERVED_SECONDS = 20.0
WAIT_SECONDS = 50.0
ARRIVAL_SECONDS = 10.0
"""In which all of them arrive, as they do after the API server was started again."""

TRY_AGAIN_SECONDS = 2.0
HEARTBEAT_SECONDS = 10.0
"""As workers have all of them by default."""

_OFFERS = f"{API_PREFIX}/worker/queues/current/offers?most=4&wait_seconds="
_HEARTBEAT = f"{API_PREFIX}/worker-sessions/current/heartbeat"
_ALIVE = json.dumps({"cpu_percent": 0.5, "memory_bytes": 100 << 20, "running": 0, "free_slots": 4}).encode()
_SENDERS = 50
_FILES = 4 * WORKERS


def measure() -> Iterator[Figure]:
    """CPU and memory of the API process, and how long a wake takes."""
    with _many_files(), running_stack() as (stack, tenant), Rest(stack.api_url, tenant.api_key) as rest:
        body = request(assistant(rest, tenant))
        progress(f"{WORKERS} workers join")
        tokens = _joined(stack, tenant)
        yield from asyncio.run(_measure(stack, rest, tokens, body))


async def _measure(stack: Stack, rest: Rest, tokens: Sequence[str], body: dict[str, Any]) -> list[Figure]:
    idle = await _cpu(stack)
    async with _Waiting(stack.api_url, tokens[:1]).all() as waiting:
        alone = await _wakes(rest, waiting, body)
    before = resident_mb(stack, "API")
    async with _Waiting(stack.api_url, tokens).all() as waiting:
        progress(f"{WORKERS} workers wait, for {WAIT_SECONDS:.0f} s until each has asked twice")
        await asyncio.sleep(ARRIVAL_SECONDS + WAIT_SECONDS)
        put_off = waiting.put_off
        polling = await _cpu(stack)
        after = resident_mb(stack, "API")
        progress(f"{WAKES} executions, one after the other")
        woken = await _wakes(rest, waiting, body)
        async with _alive(stack.api_url, tokens):
            progress(f"and give signs of life, every {HEARTBEAT_SECONDS:.0f} s")
            await asyncio.sleep(HEARTBEAT_SECONDS)
            living = await _cpu(stack)
    return [
        Figure("idle_workers.cpu_without_any", idle, "% of a core"),
        Figure("idle_workers.cpu_waiting", polling, "% of a core"),
        Figure("idle_workers.cpu_with_signs_of_life", living, "% of a core"),
        Figure("idle_workers.put_off", put_off, "times while they arrived"),
        Figure("idle_workers.memory_before", before, "MB"),
        Figure("idle_workers.memory_waiting", after, "MB"),
        Figure("idle_workers.memory_each", (after - before) / WORKERS * 1024, "kB"),
        Figure("idle_workers.wake_of_one_p50", percentile(alone, 50), "ms"),
        Figure("idle_workers.wake_among_all_p50", percentile(woken, 50), "ms"),
        Figure("idle_workers.wake_among_all_max", max(woken), "ms"),
    ]


class _Waiting:
    """Workers that ask for work all the time; whoever is told of some says when."""

    def __init__(self, api_url: str, tokens: Sequence[str]) -> None:
        self._told: asyncio.Queue[tuple[str, datetime]] = asyncio.Queue()
        self.put_off = 0
        """How many times one was asked to come again."""
        self._api_url = api_url
        self._tokens = tokens
        self._go_on = asyncio.Event()

    @asynccontextmanager
    async def all(self) -> "AsyncIterator[_Waiting]":
        """Let all of them wait for the length of the block. Raises what went wrong for one of them."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                # Not all at the same moment, as they would all ask again at the same moment.
                group.create_task(self._wait(token, first=1 + WAIT_SECONDS * number / len(self._tokens)))
                for number, token in enumerate(self._tokens)
            ]
            yield self
            for task in tasks:
                task.cancel()

    async def first_told(self, execution_id: str) -> datetime:
        """When the first one was told of an execution. Whoever happens to ask while it is there is told too, later."""
        while True:
            told, arrived = await self._told.get()
            if told == execution_id:
                return arrived

    def go_on(self) -> None:
        """What one was told of is gone; it may ask again."""
        self._go_on.set()

    async def _wait(self, token: str, *, first: float) -> None:
        async with _connected(self._api_url) as (reader, writer):
            await asyncio.sleep(first * ARRIVAL_SECONDS / WAIT_SECONDS)
            seconds = first
            while True:
                url = f"{_OFFERS}{seconds:.2f}"
                status, answer = await exchange(reader, writer, _request("GET", url, token))
                arrived = datetime.now(UTC)
                if status == 503:
                    self.put_off += 1
                    await asyncio.sleep(TRY_AGAIN_SECONDS)
                    continue
                if status != 200:
                    raise RuntimeError(f"a worker was answered {status}: {answer[:500]!r}")
                seconds = WAIT_SECONDS
                if offers := json.loads(answer)["offers"]:
                    self._go_on.clear()
                    self._told.put_nowait((offers[0]["execution_id"], arrived))
                    await self._go_on.wait()


async def _wakes(rest: Rest, waiting: _Waiting, body: dict[str, Any]) -> list[float]:
    """Milliseconds from when an execution could be claimed until a worker was told."""
    delays = []
    for _ in range(WAKES):
        await asyncio.sleep(0.3)  # whoever was told last waits again
        execution = await asyncio.to_thread(rest.post, "/executions", body)
        async with asyncio.timeout(60):
            arrived = await waiting.first_told(execution["id"])
        path = f"/executions/{execution['id']}"
        events = await asyncio.to_thread(rest.get, f"{path}/events")
        [scheduled] = (event["created_at"] for event in events if event["data"].get("status") == "scheduled")
        delays.append((arrived - datetime.fromisoformat(scheduled)).total_seconds() * 1000)
        await asyncio.to_thread(rest.delete, path)
        waiting.go_on()
    return delays


@asynccontextmanager
async def _alive(api_url: str, tokens: Sequence[str]) -> AsyncIterator[None]:
    """Let all give signs of life, evenly spread, over fewer connections than workers have."""

    async def give(mine: Sequence[str]) -> None:
        async with _connected(api_url) as (reader, writer):
            while True:
                for token in mine:
                    status, answer = await exchange(reader, writer, _request("POST", _HEARTBEAT, token, _ALIVE))
                    if status not in {200, 503}:
                        raise RuntimeError(f"a sign of life was answered {status}: {answer[:500]!r}")
                    await asyncio.sleep(HEARTBEAT_SECONDS / len(mine))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(give(tokens[number::_SENDERS])) for number in range(_SENDERS)]
        yield
        for task in tasks:
            task.cancel()


async def _cpu(stack: Stack) -> float:
    """How much of one core the API process uses, in percent."""
    before = cpu_seconds(stack, "API")
    await asyncio.sleep(OBSERVED_SECONDS)
    return (cpu_seconds(stack, "API") - before) / OBSERVED_SECONDS * 100


@asynccontextmanager
async def _connected(api_url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    target = urlsplit(api_url)
    reader, writer = await asyncio.open_connection(target.hostname, target.port)
    try:
        yield reader, writer
    finally:
        writer.close()


def _request(method: str, path: str, token: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + body


def _joined(stack: Stack, tenant: Tenant) -> list[str]:
    """The session tokens of workers that have joined with the same key."""
    client = JoiningClient(stack.api_url, tenant.worker_key)
    start = partial(client.start_in_pool, tenant.environment["work_pool"])
    asked = [
        JoinRequest(
            name=f"idle-{number}", version=__version__, python_version="", prefect_version="", platform="", hostname=""
        )
        for number in range(WORKERS)
    ]
    try:
        with ThreadPoolExecutor(4) as joining:
            return [session.session_token for session in joining.map(start, asked)]
    finally:
        client.close()


@contextmanager
def _many_files() -> Iterator[None]:
    """Allow this process, and those it starts, as many open files as there will be connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(_FILES, hard)), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

"""What the LLM gateway adds to a model call: time to the first token, time between tokens, and memory.

A provider on this machine answers at once, in a process of its own. It is called directly and through the gateway in
turns, over warm connections, so that what differs is the gateway.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from benchmarks.figures import Figure, percentile
from benchmarks.running import ROOT, progress, resident_mb, running_stack, settle, wait_for
from benchmarks.sse_delay import joined
from control_plane.client import API_PREFIX, WorkerClient
from control_plane.embedded.bootstrap import Tenant
from control_plane.embedded.stack import Stack
from control_plane.rest import Rest
from control_plane.wire.executions import ClaimRequest

CALLS = 300
WARM_UP = 50
PACED_CALLS = 10
MEMORY_CALLS = 10_000
_MEMORY_WARM_UP = 1_000
_CONNECTIONS = 8
_WORDS = 50
_PACE_MS = 20

_SETTINGS = {
    "CONTROL_PLANE_PRIVATE_MODEL_PROVIDERS": "true",
    # Nobody renews the leases of the executions that call.
    "CONTROL_PLANE_LEASE": "PT1H",
}

FIRST_LIMIT_MS = 8.0
BETWEEN_LIMIT_MS = 2.0
"""Of delay that comes and goes between tokens. A fast model's come every 10 ms."""
_MOST_GROWTH = 1.05

AT_ONCE, PACED, SHORT = f"words-{_WORDS}-pace-0", f"words-{_WORDS}-pace-{_PACE_MS}", "words-5-pace-0"


@dataclass(frozen=True, slots=True)
class _Door:
    """One way to the model."""

    url: str
    key: str
    prefix: str = ""

    def asked(self, model: str) -> dict[str, Any]:
        """The call's arguments for httpx."""
        body = {
            "model": f"{self.prefix}{model}",
            "messages": [{"role": "user", "content": "What time is it?"}],
            "max_tokens": 100,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return {"url": f"{self.url}/chat/completions", "json": body, "headers": {"Authorization": f"Bearer {self.key}"}}

    def translated(self, model: str) -> dict[str, Any]:
        """The same call in Anthropic's dialect, which the provider doesn't speak."""
        asked = self.asked(model)
        del asked["json"]["stream_options"]
        return asked | {"url": self.url.replace("/openai/", "/anthropic/") + "/messages"}


def measure() -> Iterator[Figure]:
    """The figures, of which those with a limit are the gateway's own part."""
    with _provider() as direct:
        os.environ.update(_SETTINGS)
        try:
            with running_stack() as (stack, tenant):
                yield from asyncio.run(_measured(stack, tenant, direct))
        finally:
            for name in _SETTINGS:
                del os.environ[name]


async def _measured(stack: Stack, tenant: Tenant, direct: _Door) -> list[Figure]:
    found: list[Figure] = []
    async with _executions(stack, tenant, direct) as doors, httpx.AsyncClient(timeout=60, trust_env=False) as http:
        through, paced, short = doors
        progress(f"{CALLS} calls directly and through the gateway")
        firsts: dict[bool, list[float]] = {True: [], False: []}
        for number in range(WARM_UP + CALLS):
            for is_direct, door in ((True, direct), (False, through)):
                first = await _first(http, door.asked(AT_ONCE))
                if number >= WARM_UP:
                    firsts[is_direct].append(first)
        own, whole = (percentile(firsts[key], 50) for key in (True, False))
        found.append(Figure("gateway.first_direct_p50", own, "ms"))
        found.append(Figure("gateway.first_p50", whole, "ms"))
        found.append(Figure("gateway.first_p99", percentile(firsts[False], 99), "ms"))
        found.append(Figure("gateway.first_added_p50", whole - own, "ms", FIRST_LIMIT_MS))
        progress("the same through a dialect that LiteLLM translates")
        messages = [await _first(http, through.translated(AT_ONCE)) for _ in range(CALLS // 3)]
        found.append(Figure("gateway.translated_first_p50", percentile(messages, 50), "ms"))
        progress(f"{PACED_CALLS} calls whose tokens come every {_PACE_MS} ms")
        delays = {True: await _delays(http, direct), False: await _delays(http, paced)}
        between = [percentile(delays[key], 50) for key in (True, False)]
        found.append(Figure("gateway.token_delay_direct_p50", between[0], "ms"))
        found.append(Figure("gateway.token_delay_p99", percentile(delays[False], 99), "ms"))
        found.append(Figure("gateway.token_delay_added_p50", between[1] - between[0], "ms", BETWEEN_LIMIT_MS))
        progress(f"{MEMORY_CALLS:,} streamed calls")
        await _many(http, short, _MEMORY_WARM_UP)
        before = resident_mb(stack, "API")
        started = time.perf_counter()
        await _many(http, short, MEMORY_CALLS)
        found.append(Figure("gateway.calls", MEMORY_CALLS / (time.perf_counter() - started), "streams/s"))
        after = resident_mb(stack, "API")
        found.append(Figure("gateway.memory", after, "MB"))
        found.append(Figure("gateway.memory_growth", after / before, f"times in {MEMORY_CALLS} calls", _MOST_GROWTH))
    return found


async def _first(http: httpx.AsyncClient, asked: dict[str, Any]) -> float:
    """Milliseconds to the first bytes of an answer, which is read to its end."""
    started = time.perf_counter()
    first = 0.0
    async with http.stream("POST", **asked) as answer:
        answer.raise_for_status()
        async for _ in answer.aiter_raw():
            first = first or (time.perf_counter() - started) * 1000
    return first


async def _delays(http: httpx.AsyncClient, door: _Door) -> list[float]:
    """Milliseconds from when the provider has sent each token to its arrival, for all but the first ones."""
    delays: list[float] = []
    for _ in range(PACED_CALLS):
        async with http.stream("POST", **door.asked(PACED)) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if '"content":"' in line:
                    sent = float(line.partition('"content":"')[2].partition(" ")[0])
                    delays.append((time.time() - sent) * 1000)
    return delays


async def _many(http: httpx.AsyncClient, door: _Door, calls: int) -> None:
    async def call(number: int) -> None:
        for _ in range(number):
            await _first(http, door.asked(SHORT))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_CONNECTIONS):
            tasks.create_task(call(calls // _CONNECTIONS))


@asynccontextmanager
async def _executions(stack: Stack, tenant: Tenant, provider: _Door) -> AsyncIterator[list[_Door]]:
    """Running executions whose agents name the models; the doors that they have."""
    models = [AT_ONCE, PACED, SHORT]
    await _let_agents_name_models(stack, tenant)
    with Rest(stack.api_url, tenant.api_key) as rest:
        rest.post("/secrets", {"name": "local", "value": provider.key})
        own = {"name": "local", "kind": "openai_compatible", "base_url": provider.url, "secret": "local"}
        rest.post("/model-providers", own)
        ids = [_started(rest, tenant, model) for model in models]
    session = await asyncio.to_thread(joined, stack, tenant)
    async with WorkerClient(stack.api_url, session.session_token) as worker:
        claims = [await worker.claim(id_, ClaimRequest(worker="benchmark")) for id_ in ids]
    settle(stack, "API")
    url = f"{stack.api_url}{API_PREFIX}/llm/openai/v1"
    yield [_Door(url, claim.execution_token, "local/") for claim in claims]


async def _let_agents_name_models(stack: Stack, tenant: Tenant) -> None:
    url = f"{stack.api_url}{API_PREFIX}/environments/{tenant.environment['id']}"
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {tenant.api_key}"}, trust_env=False) as http:
        (await http.patch(url, json={"llm_override": None})).raise_for_status()


def _started(rest: Rest, tenant: Tenant, model: str) -> Any:
    agent = rest.post(
        "/agents",
        {
            "name": model,
            "environment_id": tenant.environment["id"],
            "llm_config": {"provider": "local", "model": model},
        },
    )
    return rest.post("/executions", {"agent_id": agent["id"], "input": {"message": "Go."}})["id"]


@contextmanager
def _provider() -> Iterator[_Door]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.model_provider", str(port)]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        wait_for(lambda: True if _listens(port) else None, "the provider")
        yield _Door(f"http://127.0.0.1:{port}/v1", "sk-of-the-benchmark")
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0

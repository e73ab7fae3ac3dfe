"""What benchmarks measure against: a whole stack on a temporary folder, and waiting for things to happen in it."""

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from control_plane.embedded.bootstrap import AGENT, Tenant, ensure, ensure_tenant
from control_plane.embedded.data_folder import DataFolder
from control_plane.embedded.stack import Stack
from control_plane.rest import Rest

ROOT = Path(__file__).parents[1]
"""Where `benchmarks` is importable from; the wheel doesn't carry it."""

Found = TypeVar("Found")

_QUIET = 0.1
"""Of a second, CPU time of a server that has nothing to do but look whether there is something."""


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is gone afterwards. It lies where `TMPDIR` says, and its disk is the one that is measured."""
    with tempfile.TemporaryDirectory(prefix="control-plane-bench-") as folder:
        yield Path(folder)


@contextmanager
def running_stack() -> Iterator[tuple[Stack, Tenant]]:
    """PostgreSQL (durable), Prefect and one API process with a tenant, but no worker yet; stopped afterwards."""
    progress("starting a stack")
    with temporary_folder() as folder, Stack(DataFolder(folder), lambda _what, _seconds: None) as stack:
        tenant = ensure_tenant(stack)
        settle(stack, "API")
        yield stack, tenant


@contextmanager
def paused(stack: Stack, name: str) -> Iterator[None]:
    """Let one process of the stack, and those it has started, hang for the length of the block."""
    group = stack.processes[name].popen.pid
    os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(group, signal.SIGCONT)


def settle(stack: Stack, name: str) -> None:
    """Wait until one process of the stack does nothing. The API server loads LiteLLM for seconds after it is ready."""
    before = cpu_seconds(stack, name)
    while True:
        time.sleep(1)
        now = cpu_seconds(stack, name)
        if now - before < _QUIET:
            return
        before = now


def cpu_seconds(stack: Stack, name: str) -> float:
    """The CPU time that one process of the stack has used since it began."""
    times = Path(f"/proc/{stack.processes[name].popen.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(stack: Stack, name: str) -> float:
    """The memory that one process of the stack holds in RAM."""
    status = Path(f"/proc/{stack.processes[name].popen.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def assistant(rest: Rest, tenant: Tenant) -> str:
    """The id of the agent that `control-plane dev` has too. Its model is scripted and answers at once."""
    agent = ensure(rest, "/agents", AGENT | {"environment_id": tenant.environment["id"]}, by=("environment_id", "name"))
    return str(agent["id"])


def unpaced(stack: Stack, tenant: Tenant, body: dict[str, Any]) -> dict[str, Any]:
    """The same request with a tool call and a model that says everything at once. It stays the environment's model.

    `assistant` speaks at the pace of a model, which is nothing that a server could do faster.
    """
    url = f"{stack.api_url}/api/v1/environments/{tenant.environment['id']}"
    model = {"llm_override": {"provider": "scripted", "model": "script"}}
    headers = {"Authorization": f"Bearer {tenant.api_key}"}
    httpx.patch(url, json=model, headers=headers, trust_env=False).raise_for_status()
    script = [{"tool": "clock_now"}, {"say": "Now I know what time it is."}]
    return request(body["agent_id"], message=json.dumps(script))


def request(agent_id: str, *, message: str = "What time is it?") -> dict[str, Any]:
    """The body that starts an execution."""
    return {
        "agent_id": agent_id,
        "workflow_type": "agent_chat",
        "input": {"message": message, "context": {"environment": "dev", "requester": "user@example.com"}},
    }


def wait_for(find: Callable[[], Found | None], what: str, *, seconds: float = 120.0) -> Found:
    """What `find` returns once it isn't None; asked four times a second. Raises `TimeoutError`."""
    deadline = time.monotonic() + seconds
    while (found := find()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(0.25)
    return found


def progress(text: str) -> None:
    """Tell whoever watches how far it has come."""
    print(f"  {text}", file=sys.stderr, flush=True)

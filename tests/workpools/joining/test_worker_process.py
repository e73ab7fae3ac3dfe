"""A worker as people start it: the very command, a real Prefect server behind the control plane."""

import asyncio
import contextlib
import signal
import socket
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from control_plane.embedded.prefect_server import PrefectServer, client_environment
from control_plane.embedded.programs import program
from control_plane.settings import Settings
from deployments.orchestrator import Queue
from deployments.prefect_orchestrator import PrefectOrchestrator
from tests.serving import api_server
from tests.tenants import Tenant, create_tenant

pytestmark = pytest.mark.journey


@pytest.fixture
async def place(settings: Settings, prefect_server: PrefectServer) -> AsyncIterator[Tenant]:
    """A tenant whose work pool exists in Prefect, on a server that knows how it is reached."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    reached = settings.model_copy(
        update={
            "public_url": f"http://127.0.0.1:{port}",
            "prefect_api_url": prefect_server.api_url,
            "prefect_auth_string": SecretStr(prefect_server.auth_string),
        }
    )
    orchestrator = PrefectOrchestrator(
        api_url=prefect_server.api_url, ui_url="", auth_string=prefect_server.auth_string
    )
    async with api_server(reached, orchestrator, port=port) as url, create_tenant(url, "acme") as tenant:
        await orchestrator.ensure_environment(tenant.environment["work_pool"], [Queue("default")])
        yield tenant


def programs(line: str) -> list[str]:
    """A command line with its program found beside this Python."""
    name, *arguments = line.split()
    return [str(program(name)), *arguments]


@asynccontextmanager
async def worker(tenant: Tenant, folder: Path, *, line: str | None = None, **settings: str) -> AsyncIterator[Process]:
    """The worker command of the tenant's environment, or another line in its place."""
    command = (await tenant.client.get(f"/environments/{tenant.environment['id']}/worker-command")).json()
    environment = command["environment"] | {"CONTROL_PLANE_API_KEY": tenant.worker_key} | settings
    process = await asyncio.create_subprocess_exec(
        *await asyncio.to_thread(programs, line or command["command"]),
        stdout=PIPE,
        stderr=STDOUT,
        env=client_environment(folder) | environment,
        cwd=folder,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def line_with(process: Process, text: str) -> str:
    """The next line that holds a text; all lines if the process ends without it."""
    lines = []
    async with asyncio.timeout(90):
        while line := (await process.stdout.readline()).decode() if process.stdout else "":
            lines.append(line)
            if text in line:
                return line
    return "".join(lines)


def files_with(secret: bytes, folder: Path) -> list[Path]:
    """The files of a folder that hold a secret."""
    return [found for found in folder.rglob("*") if found.is_file() and secret in found.read_bytes()]


async def joined_worker(tenant: Tenant) -> dict[str, Any]:
    """The worker that came last."""
    worker: dict[str, Any] = (await tenant.client.get("/workers")).json()[0]
    return worker


@pytest.mark.timeout(300)
async def test_a_worker_joins_looks_its_pool_up_through_the_control_plane_and_leaves(
    place: Tenant, tmp_path: Path
) -> None:
    async with worker(place, tmp_path) as process:
        started = await line_with(process, "started!")
        there = await joined_worker(place)
        process.send_signal(signal.SIGTERM)
        await line_with(process, "stopped!")
        code = await asyncio.wait_for(process.wait(), 60)
    gone = await joined_worker(place)

    assert "started!" in started
    assert (there["status"], there["joined_with"]) == ("online", "worker_key:worker-1")
    assert (gone["id"], gone["status"], code) == (there["id"], "offline", 0)
    assert files_with(b"cps_", tmp_path) == []
    assert files_with(place.worker_key.encode(), tmp_path) == []


@pytest.mark.timeout(300)
async def test_a_worker_that_is_refused_says_why_and_ends_with_an_error(place: Tenant, tmp_path: Path) -> None:
    async with worker(place, tmp_path, CONTROL_PLANE_API_KEY="cp_worker_wrong") as process:
        said = await line_with(process, "\0")
        code = await process.wait()

    assert "doesn't let this worker in" in said
    assert "Check CONTROL_PLANE_API_KEY." in said
    assert "temporary server" not in said
    assert "Traceback" not in said
    assert code == 1


@pytest.mark.timeout(300)
async def test_a_worker_needs_but_the_id_of_its_queue(place: Tenant, tmp_path: Path) -> None:
    (queue,) = (await place.client.get(f"/environments/{place.environment['id']}/worker-queues")).json()
    line = f"control-plane-worker --queue-id {queue['id']} --name one --limit 3"

    async with worker(place, tmp_path, line=line, PREFECT_PLUGINS_ENABLED="0") as process:
        started = await line_with(process, "started!")
        there = await joined_worker(place)

    assert "started!" in started
    assert (there["name"], there["slots"], there["worker_queue_id"]) == ("one", 3, queue["id"])

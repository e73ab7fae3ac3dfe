"""`control-plane worker` with a real worker on a real Prefect server behind a real control plane."""

import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from control_plane.embedded.prefect_server import PrefectServer
from control_plane.settings import Settings
from deployments.orchestrator import Queue
from deployments.prefect_orchestrator import PrefectOrchestrator
from tests.control_plane.cli.machine import Done, Machine, machine_in
from tests.serving import api_server
from tests.tenants import Tenant, create_tenant, created

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]

WORK = [{"delay_seconds": 8}, {"say": "in time"}]


@dataclass(frozen=True, slots=True)
class Site:
    """A machine, and a tenant of a control plane that it reaches at `url`."""

    machine: Machine
    tenant: Tenant
    url: str

    @property
    def pool(self) -> str:
        return str(self.tenant.environment["work_pool"])

    async def run(self, *arguments: str, key: str | None = None) -> Done:
        """`control-plane worker …` with the worker key, or another one."""
        return await self.machine.run(
            *arguments, CONTROL_PLANE_URL=self.url, CONTROL_PLANE_API_KEY=key or self.tenant.worker_key
        )

    async def begun(self) -> str:
        """An execution that works for eight seconds and is under way."""
        execution_id = str((await self.tenant.start(message=json.dumps(WORK)))["id"])
        async with self.tenant.client.stream("GET", f"/executions/{execution_id}/stream") as story:
            async for line in story.aiter_lines():
                if '"running"' in line:
                    break
        return execution_id

    async def execution(self, execution_id: str) -> dict[str, Any]:
        """The execution as it is now."""
        execution: dict[str, Any] = (await self.tenant.client.get(f"/executions/{execution_id}")).json()
        return execution

    async def worker(self) -> dict[str, Any]:
        """The worker that came last, as the control plane knows it."""
        worker: dict[str, Any] = (await self.tenant.client.get("/workers")).json()[0]
        return worker


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine that has no worker when it is given out and none afterwards."""
    machine = machine_in(tmp_path)
    yield machine
    machine.clean_up()


@pytest.fixture
async def site(machine: Machine, settings: Settings, prefect_server: PrefectServer) -> AsyncIterator[Site]:
    """A tenant with the queues `default` and `gpu`, whose workers give a sign of life each second."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    reached = settings.model_copy(
        update={
            "public_url": f"http://127.0.0.1:{port}",
            "prefect_api_url": prefect_server.api_url,
            "prefect_auth_string": SecretStr(prefect_server.auth_string),
            "worker_heartbeat": timedelta(seconds=1),
        }
    )
    orchestrator = PrefectOrchestrator(
        api_url=prefect_server.api_url, ui_url="", auth_string=prefect_server.auth_string
    )
    async with api_server(reached, orchestrator, port=port) as url, create_tenant(url, "acme") as tenant:
        await created(tenant.client, f"/environments/{tenant.environment['id']}/worker-queues", {"name": "gpu"})
        await orchestrator.ensure_environment(tenant.environment["work_pool"], [Queue("default"), Queue("gpu")])
        yield Site(machine, tenant, url)


async def test_a_worker_in_the_background_works_and_stops_when_it_has_finished(site: Site) -> None:
    started = await site.run("start", "--pool", site.pool, "--name", "one", "--limit", "3")
    told = json.loads((await site.run("status", "--json", key=site.tenant.api_key)).output)[0]["control_plane"]
    there = await site.worker()
    execution_id = await site.begun()
    stopped = await site.run("stop")
    gone = await site.worker()

    execution = await site.execution(execution_id)
    assert started.code == 0, started.errors
    assert (told["id"], told["status"]) == (there["id"], "online")
    assert (there["name"], there["slots"]) == ("one", 3)
    assert (execution["status"], execution["response"]) == ("completed", "in time")
    assert (stopped.code, gone["id"], gone["status"]) == (0, there["id"], "offline")
    assert "  Finishing 1 execution; a second request stops what is under way." in stopped.errors
    secrets = (site.tenant.worker_key, site.tenant.api_key, "cps_")
    written = [file.read_bytes() for file in site.machine.data.rglob("*") if file.is_file()]
    assert [secret for secret in secrets if any(secret.encode() in content for content in written)] == []


async def test_a_worker_that_the_control_plane_asked_to_drain_is_not_forced_by_a_drain_from_here(site: Site) -> None:
    started = await site.run("start", "--pool", site.pool, "--name", "one")
    execution_id = await site.begun()
    await site.tenant.client.post(f"/workers/{(await site.worker())['id']}/drain")
    await site.machine.hears("taking nothing new, executions under way: 1")

    drained = await site.run("drain")

    execution = await site.execution(execution_id)
    assert (started.code, drained.code) == (0, 0)
    assert (execution["status"], execution["response"]) == ("completed", "in time")


async def test_a_worker_joins_the_queue_that_is_named(site: Site) -> None:
    queues = await site.tenant.client.get(f"/environments/{site.tenant.environment['id']}/worker-queues")

    started = await site.run("start", "--pool", site.pool, "--work-queue", "gpu", "--name", "one")

    there = await site.worker()
    assert started.code == 0, started.errors
    assert {queue["id"]: queue["name"] for queue in queues.json()}[there["worker_queue_id"]] == "gpu"

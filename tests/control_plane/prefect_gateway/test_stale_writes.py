"""What a process can still write when its lease has run out, with the token of its claim in hand."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from control_plane.embedded.prefect_server import PrefectServer
from control_plane.settings import Settings
from deployments.orchestrator import Queue
from deployments.prefect_orchestrator import PrefectOrchestrator
from tests.serving import api_server
from tests.tenants import Tenant, client, create_tenant
from tests.worker import Claimed, events_of, message

pytestmark = pytest.mark.journey


@dataclass(frozen=True, slots=True)
class Silent:
    """A holder of a claim who reported once and then said nothing, until the execution was taken from it."""

    tenant: Tenant
    held: Claimed
    flow_run: str
    gateway: httpx.AsyncClient

    async def read(self) -> dict[str, Any]:
        """The execution."""
        found: dict[str, Any] = (await self.tenant.client.get(f"/executions/{self.held.execution_id}")).json()
        return found

    async def move(self, kind: str, *, force: bool = False) -> httpx.Response:
        """Ask Prefect, through the gateway and with the token of the claim, for another state of the flow run."""
        state = {"type": kind, "name": kind.title(), "message": "", "state_details": {}}
        return await self.gateway.post(f"/flow_runs/{self.flow_run}/set_state", json={"state": state, "force": force})


@pytest.fixture
async def silent(settings: Settings, prefect_server: PrefectServer) -> AsyncIterator[Silent]:
    """One whose flow run is running, as far as Prefect knows."""
    reached = settings.model_copy(
        update={
            "prefect_api_url": prefect_server.api_url,
            "prefect_auth_string": SecretStr(prefect_server.auth_string),
            "lease": timedelta(seconds=3),
            "reconcile_every": timedelta(milliseconds=100),
        }
    )
    orchestrator = PrefectOrchestrator(
        api_url=prefect_server.api_url, ui_url="", auth_string=prefect_server.auth_string
    )
    async with api_server(reached, orchestrator) as url, create_tenant(url, "acme") as tenant:
        await orchestrator.ensure_environment(tenant.environment["work_pool"], [Queue("default")])
        execution = await tenant.start()
        told = await tenant.worker.get("/worker/queues/current/offers", params={"wait_seconds": 25})
        [offer] = told.json()["offers"]
        claim = await tenant.claim(execution["id"])
        token = claim["execution_token"]
        async with client(url, token) as http, client(url, token) as gateway:
            gateway.base_url = httpx.URL(f"{url}/api/v1/prefect/api")
            holder = Silent(tenant, Claimed(http, execution["id"], claim), offer["flow_run_id"], gateway)
            await holder.move("RUNNING")
            await holder.held.report(message(1))
            async with asyncio.timeout(30):
                async with tenant.client.stream("GET", f"/executions/{execution['id']}/stream") as story:
                    async for _ in story.aiter_lines():
                        pass
            yield holder


async def test_who_has_lost_the_lease_can_tell_the_control_plane_nothing_more(silent: Silent) -> None:
    lost = await silent.read()
    told = await events_of(silent.tenant, silent.held.execution_id)

    answers = [
        await silent.held.report(message(2)),
        await silent.held.renew(),
        await silent.held.finish(response="done after all"),
        await silent.held.http.get(f"{silent.held.path}/plan"),
    ]
    # It has ended as failed already, so that to say so once more is only a repetition.
    await silent.held.finish(status="failed", error="changed my mind")
    kept = await silent.read()

    assert (lost["status"], lost["error_code"]) == ("failed", "worker_lost")
    assert {answer.status_code for answer in answers} <= {401, 409}
    assert [kept[name] for name in ("status", "error", "response")] == [lost["status"], lost["error"], None]
    assert await events_of(silent.tenant, silent.held.execution_id) == told


async def test_who_has_lost_the_lease_can_change_nothing_in_prefect_either(silent: Silent) -> None:
    answers = [
        await silent.move("COMPLETED"),
        await silent.move("COMPLETED", force=True),
        await silent.gateway.patch(f"/flow_runs/{silent.flow_run}", json={"infrastructure_pid": "4711"}),
        await silent.gateway.get(f"/flow_runs/{silent.flow_run}"),
    ]

    assert [answer.status_code for answer in answers] == [401] * 4

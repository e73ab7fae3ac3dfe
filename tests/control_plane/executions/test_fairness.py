"""One organization that asks for little, beside one that asks for much, in front of a real Prefect server."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from pydantic import SecretStr

from control_plane.embedded.prefect_server import PrefectServer
from control_plane.settings import Settings
from deployments.prefect_orchestrator import PrefectOrchestrator
from tests.serving import api_server
from tests.tenants import Tenant, create_tenant
from tests.worker import events_of

pytestmark = pytest.mark.journey

MANY = 60


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Two organizations of one control plane, whose work pools exist."""

    crowd: Tenant
    single: Tenant


@pytest.fixture
async def neighbours(settings: Settings, prefect_server: PrefectServer) -> AsyncIterator[Neighbours]:
    """Each has had an execution dispatched already."""
    reached = settings.model_copy(
        update={
            "prefect_api_url": prefect_server.api_url,
            "prefect_auth_string": SecretStr(prefect_server.auth_string),
        }
    )
    orchestrator = PrefectOrchestrator(
        api_url=prefect_server.api_url, ui_url="", auth_string=prefect_server.auth_string
    )
    async with (
        api_server(reached, orchestrator) as url,
        create_tenant(url, "crowd") as crowd,
        create_tenant(url, "single") as single,
    ):
        await scheduled_at(crowd, (await crowd.start())["id"])
        await scheduled_at(single, (await single.start())["id"])
        yield Neighbours(crowd, single)


@contextmanager
def stopped(server: PrefectServer) -> Iterator[None]:
    """Let Prefect's server hang for the length of the block."""
    os.killpg(server.process.popen.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(server.process.popen.pid, signal.SIGCONT)


async def scheduled_at(tenant: Tenant, execution_id: str) -> str:
    """When Prefect had the flow run of an execution, once it has."""
    async with asyncio.timeout(60), tenant.client.stream("GET", f"/executions/{execution_id}/stream") as story:
        async for line in story.aiter_lines():
            if '"scheduled"' in line:
                break
    events = await events_of(tenant, execution_id)
    [moment] = [event["created_at"] for event in events if event["data"].get("status") == "scheduled"]
    return str(moment)


async def test_who_asks_for_one_is_not_dispatched_behind_all_that_another_has_asked_for(
    neighbours: Neighbours, prefect_server: PrefectServer
) -> None:
    with stopped(prefect_server):
        many = [(await neighbours.crowd.start())["id"] for _ in range(MANY)]
        one = (await neighbours.single.start())["id"]

    moment = await scheduled_at(neighbours.single, one)
    others = await asyncio.gather(*(scheduled_at(neighbours.crowd, execution_id) for execution_id in many))

    # Those that were under way already come first, and one of theirs between; half leaves room for a repeated try.
    assert len([other for other in others if other < moment]) <= MANY // 2

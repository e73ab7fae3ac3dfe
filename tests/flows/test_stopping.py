import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from control_plane.settings import Settings
from tests.conftest import TestDatabase
from tests.flows.prefect_api import PrefectApi
from tests.flows.stage import Say, Stage, Tools, stage
from tests.orchestrator import FakeOrchestrator
from tests.serving import api_server
from tests.tenants import Tenant, create_tenant

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("act", ["dawdle", "dawdle_in_a_tool"])
async def test_a_wish_to_cancel_stops_a_model_call_and_a_tool_call(on: Stage, act: str) -> None:
    on.runtime.act = getattr(on.runtime, act)

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        playing = group.create_task(on.play())
        await on.runtime.started.wait()
        await on.cancel()

    assert playing.result().is_cancelled()
    assert on.runtime.stopped.is_set()
    execution = await on.read()
    assert execution["status"] == "cancelled"
    assert (execution["usage"]["model_turns"], execution["usage"]["input_tokens"]) == (1, 10)


async def test_a_lease_that_is_refused_stops_the_work_and_nothing_is_told(
    on: Stage, test_database: TestDatabase
) -> None:
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        playing = group.create_task(on.play())
        await on.runtime.started.wait()
        await test_database.change("UPDATE executions SET fence = fence + 1 WHERE id = %s", on.execution_id)

    assert "The lease was lost" in str(playing.result().message)
    assert on.runtime.stopped.is_set()
    assert (await on.read())["status"] == "running"


@pytest.fixture
async def falling(settings: Settings, orchestrator: FakeOrchestrator) -> AsyncIterator[tuple[AsyncExitStack, Tenant]]:
    """A server that goes away when its stack is closed, and a tenant on it."""
    async with AsyncExitStack() as server:
        url = await server.enter_async_context(api_server(settings, orchestrator))
        async with create_tenant(url, "acme") as tenant:
            yield server, tenant


async def test_a_control_plane_that_goes_away_stops_the_work_before_the_lease_ends(
    falling: tuple[AsyncExitStack, Tenant],
    prefect: PrefectApi,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, tenant = falling
    on = await stage(tenant, prefect, monkeypatch)
    away = asyncio.Event()

    async def act(_tools: Tools, say: Say) -> str:
        await away.wait()
        await say("Well")
        return await on.runtime.dawdle(_tools, say)

    on.runtime.act = act

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        playing = group.create_task(on.play())
        await on.runtime.started.wait()
        await server.aclose()
        away.set()
        began = asyncio.get_running_loop().time()
    passed = asyncio.get_running_loop().time() - began

    assert "The lease was lost" in str(playing.result().message)
    assert on.runtime.stopped.is_set()
    assert passed < 6


async def test_an_execution_that_takes_too_long_is_stopped(on: Stage, test_database: TestDatabase) -> None:
    limits = """UPDATE executions SET plan = jsonb_set(plan, '{limits,execution_seconds}', '0.2') WHERE id = %s"""
    await test_database.change(limits, on.execution_id)

    await on.play()

    execution = await on.read()
    assert (execution["status"], execution["error_code"]) == ("failed", "execution_timeout")
    assert "took longer than 0.2 s" in execution["error"]
    assert on.runtime.stopped.is_set()

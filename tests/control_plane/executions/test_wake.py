import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sse_starlette.sse import AppStatus

from control_plane.db import Database
from control_plane.events.notifications import Notifications
from control_plane.worker_queues import waking
from tests.conftest import TestDatabase
from tests.orchestrator import FakeOrchestrator
from tests.tenants import Tenant
from tests.worker import claimed

pytestmark = pytest.mark.integration


async def offers(tenant: Tenant, *, most: int = 10, wait: float = 0) -> list[str]:
    """The executions that the tenant's worker is told of."""
    response = await tenant.worker.get(
        "/worker/queues/current/offers", params={"most": most, "wait_seconds": wait}, timeout=60
    )
    response.raise_for_status()
    return [offer["execution_id"] for offer in response.json()["offers"]]


async def scheduled(tenant: Tenant) -> dict[str, Any]:
    """A new execution that has its flow run."""
    execution = await tenant.start()
    assert execution["id"] in await offers(tenant, wait=30)
    read: dict[str, Any] = (await tenant.client.get(f"/executions/{execution['id']}")).json()
    return read


async def test_a_worker_is_told_at_once_of_what_waits_already(acme: Tenant) -> None:
    first = await scheduled(acme)
    second = await acme.start()

    told = await acme.worker.get("/worker/queues/current/offers", params={"most": 1})

    offer = {"execution_id": first["id"], "flow_run_id": first["flow_run_id"], "in_place_of": None}
    assert told.json() == {"offers": [offer]}
    assert second["id"] != first["id"]


async def test_a_waiting_worker_is_woken_by_a_new_execution(acme: Tenant) -> None:
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        waiting = group.create_task(offers(acme, wait=50))
        execution = await acme.start()

    assert waiting.result() == [execution["id"]]


async def test_a_worker_that_is_woken_by_nothing_is_answered_when_its_time_is_up(acme: Tenant) -> None:
    assert await offers(acme, wait=0.2) == []


async def test_a_server_that_is_asked_to_end_lets_nobody_wait(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        waiting = group.create_task(offers(acme, wait=50))
        await asyncio.sleep(0)
        # As uvicorn's signal handler does, to which the library of event streams listens.
        monkeypatch.setattr(AppStatus, "should_exit", True)

    assert waiting.result() == []


async def test_a_worker_learns_nothing_of_other_tenants(acme: Tenant, globex: Tenant) -> None:
    await scheduled(acme)

    assert await offers(globex, wait=0.2) == []


async def test_what_is_claimed_is_not_offered(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url):
        assert await offers(acme) == []


async def test_more_than_the_worker_asks_for_are_not_offered(acme: Tenant) -> None:
    ids = {(await scheduled(acme))["id"]}
    ids.add((await acme.start())["id"])

    told = await offers(acme, most=1)

    assert len(told) == 1
    assert set(told) < ids


@pytest.mark.parametrize("wait", ["-1", "56", "nan"])
async def test_nobody_waits_longer_than_a_proxy_does(acme: Tenant, wait: str) -> None:
    response = await acme.worker.get("/worker/queues/current/offers", params={"wait_seconds": wait})

    assert response.status_code == 422


async def test_only_a_worker_may_wait(acme: Tenant) -> None:
    response = await acme.client.get("/worker/queues/current/offers")

    assert response.status_code == 403


async def change_queue(tenant: Tenant, **changes: Any) -> None:
    """Change the default queue of the tenant's environment."""
    [queue] = (await tenant.client.get(f"/environments/{tenant.environment['id']}/worker-queues")).json()
    response = await tenant.client.patch(f"/worker-queues/{queue['id']}", json=changes)
    response.raise_for_status()


async def claim(tenant: Tenant, execution_id: str) -> httpx.Response:
    return await tenant.worker.post(f"/worker/executions/{execution_id}/claim", json={"worker": "worker-1"})


async def test_a_queue_that_goes_on_wakes_a_worker_that_waits(acme: Tenant) -> None:
    execution = await scheduled(acme)
    await change_queue(acme, paused=True)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        waiting = group.create_task(offers(acme, wait=50))
        await asyncio.sleep(0.5)  # it waits by now; if not, it finds the execution without being woken

        await change_queue(acme, paused=False)

    assert waiting.result() == [execution["id"]]


async def test_a_paused_queue_offers_nothing_and_lets_nothing_be_claimed(acme: Tenant) -> None:
    execution = await scheduled(acme)
    await change_queue(acme, paused=True)

    told = await offers(acme)
    refused = await claim(acme, execution["id"])

    assert told == []
    assert (refused.status_code, refused.json()["code"]) == (409, "queue_busy")


async def test_a_queue_offers_and_lets_run_as_many_as_its_limit(acme: Tenant, api_url: str) -> None:
    await change_queue(acme, concurrency_limit=1)
    async with claimed(acme, api_url) as held:
        waiting = await acme.start()
        refused = await claim(acme, waiting["id"])
        none = await offers(acme)
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            woken = group.create_task(offers(acme, wait=50))
            await held.finish()

    assert (refused.status_code, refused.json()["code"]) == (409, "queue_busy")
    assert none == []
    assert woken.result() == [waiting["id"]]


async def test_of_claims_at_once_as_many_succeed_as_the_limit_allows(acme: Tenant) -> None:
    await change_queue(acme, concurrency_limit=2)
    ids = [(await acme.start())["id"] for _ in range(6)]

    answers = await asyncio.gather(*(claim(acme, execution_id) for execution_id in ids))

    assert sorted(answer.status_code for answer in answers) == [200, 200, 409, 409, 409, 409]


async def test_an_execution_goes_to_the_one_who_waits_longest_and_past_one_who_has_gone(
    test_database: TestDatabase, database: Database
) -> None:
    notifications = Notifications(test_database.url, waking.CHANNEL)
    environment = uuid4()
    await notifications.start()
    try:
        with (
            notifications.take_turns(waking.CHANNEL, environment) as gone,
            notifications.take_turns(waking.CHANNEL, environment) as first,
            notifications.take_turns(waking.CHANNEL, environment) as second,
        ):
            # Once listening begins, everybody is woken.
            await gone.wake.wait()
            for turn in (gone, first, second):
                turn.wake.clear()
            async with database.tenant(None) as session:
                await waking.tell(session, environment)
            await gone.wake.wait()
            gone.pass_on()

            assert first.wake.is_set()
            assert not second.wake.is_set()
    finally:
        await notifications.stop()


async def test_a_claim_comes_with_its_plan_if_asked(acme: Tenant) -> None:
    execution = await scheduled(acme)

    held = await acme.claim(execution["id"], with_plan=True)

    assert held["plan"]["execution_id"] == execution["id"]
    assert UUID(held["plan"]["agent"]["id"]) == UUID(acme.agent["id"])


async def test_the_orchestrator_is_needed_before_anybody_is_woken(acme: Tenant, orchestrator: FakeOrchestrator) -> None:
    orchestrator.down = True
    await acme.start()

    assert await offers(acme, wait=0.2) == []

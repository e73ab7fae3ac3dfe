"""An execution that waits for another lends it its place."""

import asyncio
from typing import Any

import pytest

from tests.asking import add_agent, asking
from tests.conftest import TestDatabase
from tests.tenants import Tenant, client
from tests.worker import joined

pytestmark = pytest.mark.integration

OFFERS = "/worker/queues/current/offers"


async def limit_to_one(tenant: Tenant) -> str:
    """Let the tenant's environment carry out one execution at once; the id of its queue."""
    [queue] = (await tenant.client.get(f"/environments/{tenant.environment['id']}/worker-queues")).json()
    (await tenant.client.patch(f"/worker-queues/{queue['id']}", json={"concurrency_limit": 1})).raise_for_status()
    return str(queue["id"])


async def offers(worker: Any, **query: Any) -> dict[str, str | None]:
    """What a worker is told of, and in whose place it may run."""
    response = await worker.get(OFFERS, params={"most": 10} | query, timeout=60)
    response.raise_for_status()
    return {offer["execution_id"]: offer["in_place_of"] for offer in response.json()["offers"]}


async def scheduled(tenant: Tenant, *ids: str) -> None:
    """Wait until executions have their flow runs."""
    async with asyncio.timeout(30):
        for one in ids:
            async with tenant.client.stream("GET", f"/executions/{one}/stream") as story:
                async for line in story.aiter_lines():
                    if '"scheduled"' in line:
                        break


async def test_where_there_is_one_place_a_child_takes_that_of_its_parent_and_nobody_else_does(
    acme: Tenant, api_url: str
) -> None:
    await limit_to_one(acme)
    lead, other = await add_agent(acme, "Lead"), await add_agent(acme, "Other")
    async with asking(acme, api_url, lead) as parent:
        stranger = await acme.start()
        first = (await parent.child("Other", key="one"))["execution_id"]
        second = (await parent.child("Other", key="two"))["execution_id"]
        await scheduled(acme, stranger["id"], first, second)
        before = await offers(acme.worker)
        async with asking(acme, api_url, other, execution_id=first) as child:
            meanwhile = await offers(acme.worker)
            refused = await acme.worker.post(f"/worker/executions/{second}/claim", json={"worker": "w"})
            below = (await child.child("Assistant"))["execution_id"]
            await scheduled(acme, below)
            of_child = await offers(acme.worker)
            await child.finish()
        after = await offers(acme.worker)
        strange = await acme.worker.post(f"/worker/executions/{stranger['id']}/claim", json={"worker": "w"})

    assert before == {first: parent.id, second: parent.id}
    assert meanwhile == {}
    assert (refused.status_code, refused.json()["code"]) == (409, "queue_busy")
    assert of_child == {below: first}
    assert after == {second: parent.id}
    assert strange.json()["code"] == "queue_busy"


async def test_a_child_that_outlives_its_parent_takes_the_place(acme: Tenant, api_url: str) -> None:
    await limit_to_one(acme)
    lead, other = await add_agent(acme, "Lead"), await add_agent(acme, "Other")
    async with asking(acme, api_url, lead) as parent:
        below = (await parent.child("Other"))["execution_id"]
        async with asking(acme, api_url, other, execution_id=below) as child:
            await parent.finish()
            stranger = await acme.start()
            await scheduled(acme, stranger["id"])
            while_it_stops = await offers(acme.worker)
            await child.finish(status="cancelled")
        afterwards = await offers(acme.worker)

    assert while_it_stops == {}
    assert afterwards == {stranger["id"]: None}


async def test_a_worker_that_is_full_is_woken_for_what_runs_in_the_place_of_its_own(acme: Tenant, api_url: str) -> None:
    lead = await add_agent(acme, "Lead")
    session = await joined(api_url, acme.worker_key, f"work-pools/{acme.environment['work_pool']}", name="other")
    async with (
        client(api_url, session["session_token"]) as other,
        asking(acme, api_url, lead) as parent,
        asyncio.timeout(30),
        asyncio.TaskGroup() as group,
    ):
        waiting = group.create_task(offers(acme.worker, in_place=True, wait_seconds=50))
        of_other = group.create_task(offers(other, in_place=True, wait_seconds=1))
        stranger = await acme.start()
        await scheduled(acme, stranger["id"])
        child = (await parent.child("Assistant"))["execution_id"]

    assert waiting.result() == {child: parent.id}
    assert of_other.result() == {}


async def test_a_paused_queue_lends_no_place(acme: Tenant, api_url: str, test_database: TestDatabase) -> None:
    queue = await limit_to_one(acme)
    lead = await add_agent(acme, "Lead")
    async with asking(acme, api_url, lead) as parent:
        child = (await parent.child("Assistant"))["execution_id"]
        await scheduled(acme, child)
        (await acme.client.patch(f"/worker-queues/{queue}", json={"paused": True})).raise_for_status()

        told = [await offers(acme.worker), await offers(acme.worker, in_place=True)]
        claim = await acme.worker.post(f"/worker/executions/{child}/claim", json={"worker": "w"})

    assert told == [{}, {}]
    assert claim.json()["code"] == "queue_busy"

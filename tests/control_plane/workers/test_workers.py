from typing import Any

import pytest

from tests.conftest import TestDatabase
from tests.tenants import JOINING, Tenant
from tests.worker import joined

pytestmark = pytest.mark.integration

HEARTBEAT = "/worker-sessions/current/heartbeat"


@pytest.fixture
def path(acme: Tenant) -> str:
    """The path of the worker of acme."""
    return f"/workers/{acme.session['session_id']}"


async def test_a_worker_is_listed_with_what_it_said_and_what_it_measured(acme: Tenant, path: str) -> None:
    facts = {"running": 3, "free_slots": 1, "cpu_percent": 12.5, "memory_bytes": 5_000_000_000}
    await acme.worker.post(HEARTBEAT, json=facts)

    (worker,) = (await acme.client.get("/workers")).json()

    assert worker.items() >= (JOINING | facts).items()
    assert worker["status"] == "online"
    assert worker["joined_with"] == "worker_key:worker-1"
    assert worker["environment_id"] == acme.environment["id"]
    assert (await acme.client.get(path)).json() == worker


async def test_a_worker_that_was_silent_for_three_heartbeats_is_offline_until_it_is_heard_again(
    acme: Tenant, path: str, test_database: TestDatabase
) -> None:
    await test_database.change("UPDATE workers SET last_seen_at = now() - interval '30 seconds'")
    silent = (await acme.client.get(path)).json()["status"]

    await acme.worker.post(HEARTBEAT, json={})

    assert [silent, (await acme.client.get(path)).json()["status"]] == ["offline", "online"]


@pytest.mark.parametrize("column", ["session_expires_at", "ended_at"])
async def test_a_worker_without_a_session_is_offline(
    acme: Tenant, path: str, test_database: TestDatabase, column: str
) -> None:
    await test_database.change(f"UPDATE workers SET {column} = now()")

    assert (await acme.client.get(path)).json()["status"] == "offline"


async def test_a_worker_learns_with_its_next_heartbeat_that_it_is_to_drain(acme: Tenant, path: str) -> None:
    before = await acme.worker.post(HEARTBEAT, json={})
    drained = await acme.client.post(f"{path}/drain")

    after = await acme.worker.post(HEARTBEAT, json={})

    assert [before.json()["drain"], after.json()["drain"]] == [False, True]
    assert drained.json()["status"] == "draining"


async def test_draining_twice_is_draining_once(acme: Tenant, path: str) -> None:
    first = await acme.client.post(f"{path}/drain")

    second = await acme.client.post(f"{path}/drain")

    assert second.json()["drain_requested_at"] == first.json()["drain_requested_at"]


async def test_workers_are_found_by_their_status(
    acme: Tenant, api_url: str, pool: str, test_database: TestDatabase
) -> None:
    draining = await joined(api_url, acme.worker_key, pool)
    silent = await joined(api_url, acme.worker_key, pool)
    await acme.client.post(f"/workers/{draining['session_id']}/drain")
    await test_database.change(
        "UPDATE workers SET last_seen_at = now() - interval '1 minute' WHERE id = %s", silent["session_id"]
    )

    found = [
        [worker["id"] for worker in (await acme.client.get("/workers", params={"status": status})).json()]
        for status in ("online", "draining", "offline")
    ]

    assert found == [[acme.session["session_id"]], [draining["session_id"]], [silent["session_id"]]]


async def test_a_queue_lists_its_own_workers(acme: Tenant, api_url: str, urgent: dict[str, Any]) -> None:
    session = await joined(api_url, acme.worker_key, f"worker-queues/{urgent['id']}")

    found = (await acme.client.get(f"/worker-queues/{urgent['id']}/workers")).json()

    assert [worker["id"] for worker in found] == [session["session_id"]]


async def test_who_has_been_gone_for_a_day_is_forgotten_when_the_next_one_comes(
    acme: Tenant, api_url: str, pool: str, test_database: TestDatabase
) -> None:
    await test_database.change(
        "UPDATE workers SET session_expires_at = now() - interval '25 hours'",
    )

    session = await joined(api_url, acme.worker_key, pool)

    assert [worker["id"] for worker in (await acme.client.get("/workers")).json()] == [session["session_id"]]


@pytest.mark.parametrize("body", [{"running": -1}, {"cpu_percent": "NaN"}, {"memory_bytes": 1 << 63}])
async def test_a_measure_that_can_not_be_is_refused(acme: Tenant, body: dict[str, Any]) -> None:
    response = await acme.worker.post(HEARTBEAT, json=body)

    assert response.status_code == 422


async def test_a_worker_of_another_organization_does_not_exist(acme: Tenant, globex: Tenant, path: str) -> None:
    answers = [
        await globex.client.get(path),
        await globex.client.post(f"{path}/drain"),
        await globex.client.post(f"{path}/revoke"),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]

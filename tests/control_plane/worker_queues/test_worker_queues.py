import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from control_plane.settings import Settings
from control_plane.worker_queues import service
from deployments.orchestrator import Queue
from tests.orchestrator import FakeOrchestrator
from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration


class Watched(FakeOrchestrator):
    """Lets a test wait until the queues of a work pool are what it expects."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = asyncio.Condition()

    async def ensure_environment(self, work_pool: str, queues: Sequence[Queue]) -> None:
        await super().ensure_environment(work_pool, queues)
        async with self.changed:
            self.changed.notify_all()

    async def has(self, work_pool: str, *queues: Queue) -> bool:
        async with self.changed, asyncio.timeout(20):
            return await self.changed.wait_for(lambda: self.queues.get(work_pool) == list(queues))


@pytest.fixture
def orchestrator() -> Watched:
    return Watched()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"reconcile_every": timedelta(milliseconds=50)})


def below(tenant: Tenant) -> str:
    return f"/environments/{tenant.environment['id']}/worker-queues"


async def default_queue(tenant: Tenant) -> dict[str, Any]:
    response = await tenant.client.get("/worker-queues", params={"name": "default"})
    [queue] = response.json()
    return dict(queue)


async def test_an_environment_comes_with_its_default_queue(acme: Tenant) -> None:
    response = await acme.client.get(below(acme))

    [queue] = response.json()
    expected = {"name": "default", "priority": 1, "concurrency_limit": None, "paused": False, "description": ""}
    assert queue.items() >= expected.items()
    assert queue["environment_id"] == acme.environment["id"]


async def test_the_default_queue_stays(acme: Tenant) -> None:
    queue = await default_queue(acme)

    response = await acme.client.delete(f"/worker-queues/{queue['id']}")

    assert response.status_code == 409
    assert (await acme.client.get(f"/worker-queues/{queue['id']}")).json() == queue


async def test_a_queue_comes_back_equal_from_the_place_that_location_names(acme: Tenant) -> None:
    body = {
        "name": "urgent",
        "environment_id": acme.environment["id"],
        "description": "Incidents",
        "priority": 7,
        "concurrency_limit": 3,
        "paused": True,
    }
    answer = await acme.client.post("/worker-queues", json=body)

    response = await acme.client.get(answer.headers["Location"].removeprefix("/api/v1"))

    assert answer.status_code == 201
    assert response.json() == answer.json()
    assert response.json().items() >= body.items()


async def test_a_queue_is_created_below_its_environment_as_well(acme: Tenant) -> None:
    queue = await created(acme.client, below(acme), {"name": "urgent"})

    response = await acme.client.get(below(acme))

    assert [found["name"] for found in response.json()] == ["urgent", "default"]
    assert queue["project_id"] == acme.project["id"]


async def test_queues_are_found_by_environment_and_name(acme: Tenant) -> None:
    queue = await created(acme.client, below(acme), {"name": "urgent"})
    wanted = {"environment_id": acme.environment["id"], "name": "urgent"}

    response = await acme.client.get("/worker-queues", params=wanted)

    assert response.json() == [queue]


async def test_a_name_is_given_once_in_an_environment(acme: Tenant) -> None:
    response = await acme.client.post(below(acme), json={"name": "default"})

    assert response.status_code == 409
    assert response.json()["code"] == "already_exists"


async def test_an_environment_has_no_more_queues_than_the_orchestrator_lists(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MOST", 1)

    response = await acme.client.post(below(acme), json={"name": "urgent"})

    assert response.status_code == 409


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Not A Slug"},
        {"priority": 0},
        {"priority": None},
        {"concurrency_limit": 0},
        {"concurrency_limit": 10**12},
        {"paused": "yes"},
        {"environment_id": "x"},
    ],
)
async def test_a_value_that_can_not_be_used_is_refused(acme: Tenant, wrong: dict[str, Any]) -> None:
    body = {"name": "urgent", "environment_id": acme.environment["id"]} | wrong

    response = await acme.client.post("/worker-queues", json=body)

    assert response.status_code == 422


async def test_an_environment_of_another_organization_is_refused_as_if_it_did_not_exist(
    acme: Tenant, globex: Tenant
) -> None:
    body = {"name": "urgent", "environment_id": globex.environment["id"]}

    foreign = await acme.client.post("/worker-queues", json=body)
    unknown = await acme.client.post("/worker-queues", json=body | {"environment_id": str(uuid4())})

    assert foreign.json()["errors"][0]["location"] == "body.environment_id"
    assert (foreign.status_code, foreign.json()["code"]) == (unknown.status_code, unknown.json()["code"])


async def test_a_change_is_merged_and_null_lifts_the_limit(acme: Tenant) -> None:
    queue = await created(acme.client, below(acme), {"name": "urgent", "concurrency_limit": 2, "priority": 5})

    response = await acme.client.patch(
        f"/worker-queues/{queue['id']}", json={"concurrency_limit": None, "paused": True}
    )

    changes = {"concurrency_limit": None, "paused": True, "updated_at": response.json()["updated_at"]}
    assert response.json() == queue | changes


@pytest.mark.parametrize("body", [{"name": "other"}, {"environment_id": None}, {"priority": None}, {"colour": "red"}])
async def test_what_can_not_be_changed_is_refused(acme: Tenant, body: dict[str, Any]) -> None:
    queue = await default_queue(acme)

    response = await acme.client.patch(f"/worker-queues/{queue['id']}", json=body)

    assert response.status_code == 422


async def test_queues_reach_the_orchestrator_the_first_served_first(acme: Tenant, orchestrator: Watched) -> None:
    queue = await default_queue(acme)
    await created(acme.client, below(acme), {"name": "urgent", "description": "Incidents", "concurrency_limit": 2})
    await created(acme.client, below(acme), {"name": "urgent-too"})

    await acme.client.patch(f"/worker-queues/{queue['id']}", json={"priority": 9, "paused": True})

    assert await orchestrator.has(
        "env-acme-staging",
        Queue("urgent", "Incidents", concurrency_limit=2),
        Queue("urgent-too"),
        Queue("default", paused=True),
    )


async def test_a_deleted_queue_is_taken_from_the_orchestrator(acme: Tenant, orchestrator: Watched) -> None:
    queue = await created(acme.client, below(acme), {"name": "urgent"})
    assert await orchestrator.has("env-acme-staging", Queue("default"), Queue("urgent"))

    response = await acme.client.delete(f"/worker-queues/{queue['id']}")

    assert response.status_code == 204
    assert await orchestrator.has("env-acme-staging", Queue("default"))


async def test_what_changed_while_the_orchestrator_was_down_reaches_it_afterwards(
    acme: Tenant, orchestrator: Watched
) -> None:
    orchestrator.down = True
    await created(acme.client, below(acme), {"name": "urgent"})

    orchestrator.down = False

    assert await orchestrator.has("env-acme-staging", Queue("default"), Queue("urgent"))


async def test_a_change_to_a_queue_leaves_the_environment_ready_and_its_tag_as_it_was(
    acme: Tenant, orchestrator: Watched
) -> None:
    environment = f"/environments/{acme.environment['id']}"
    await created(acme.client, below(acme), {"name": "first"})
    assert await orchestrator.has("env-acme-staging", Queue("default"), Queue("first"))
    async with asyncio.timeout(20):
        while (before := await acme.client.get(environment)).json()["status"] != "ready":
            pass  # noted a moment after the orchestrator was asked

    await created(acme.client, below(acme), {"name": "urgent"})
    assert await orchestrator.has("env-acme-staging", Queue("default"), Queue("first"), Queue("urgent"))

    after = await acme.client.get(environment)
    assert after.json() == before.json()
    assert after.headers["ETag"] == before.headers["ETag"]

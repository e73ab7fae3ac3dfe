import asyncio
from datetime import timedelta
from typing import Any

import pytest

from control_plane.settings import Settings
from tests.orchestrator import FakeOrchestrator
from tests.serving import api_server
from tests.tenants import Tenant, create_tenant, created

pytestmark = pytest.mark.integration

POOL = "env-acme-staging"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"reconcile_every": timedelta(milliseconds=50)})


def path(tenant: Tenant) -> str:
    return f"/environments/{tenant.environment['id']}"


def again(tenant: Tenant) -> dict[str, Any]:
    return {"name": "Staging", "slug": "staging", "project_id": tenant.project["id"]}


async def delete_agent(tenant: Tenant) -> None:
    response = await tenant.client.delete(f"/agents/{tenant.agent['id']}")
    response.raise_for_status()


async def test_an_environment_with_agents_is_not_deleted(acme: Tenant) -> None:
    response = await acme.client.delete(path(acme))

    assert response.status_code == 409
    assert "agents" in response.json()["detail"]
    assert (await acme.client.get(path(acme))).status_code == 200


async def test_an_environment_with_an_execution_that_has_not_ended_is_not_deleted(acme: Tenant) -> None:
    execution = await acme.start()
    await delete_agent(acme)

    response = await acme.client.delete(path(acme))

    assert response.status_code == 409
    assert "executions" in response.json()["detail"]
    assert (await acme.client.get(f"/executions/{execution['id']}")).status_code == 200


async def test_an_environment_goes_with_its_history_its_keys_and_its_work_pool(
    acme: Tenant, orchestrator: FakeOrchestrator
) -> None:
    execution = await acme.start()
    await acme.client.delete(f"/executions/{execution['id']}")
    await delete_agent(acme)

    response = await acme.client.delete(path(acme))
    await asyncio.wait_for(orchestrator.asked_to_remove.wait(), 20)

    assert response.status_code == 204
    assert (await acme.client.get(path(acme))).status_code == 404
    assert (await acme.client.get(f"/executions/{execution['id']}")).status_code == 404
    assert (await acme.client.get("/worker-queues")).json() == []
    assert orchestrator.removed == [POOL]


async def test_while_the_orchestrator_is_down_the_work_pool_waits_and_its_name_is_not_given_again(
    settings: Settings,
) -> None:
    orchestrator = FakeOrchestrator()
    async with api_server(settings, orchestrator) as url, create_tenant(url, "acme") as tenant:
        await delete_agent(tenant)
        orchestrator.down = True
        deleted = await tenant.client.delete(path(tenant))
        refused = await tenant.client.post("/environments", json=again(tenant))

    orchestrator.down = False
    async with api_server(settings, orchestrator):
        await asyncio.wait_for(orchestrator.asked_to_remove.wait(), 20)

    assert deleted.status_code == 204
    assert refused.status_code == 409
    assert POOL in refused.json()["detail"]
    assert orchestrator.removed == [POOL]


async def test_an_environment_of_its_own_slug_in_another_organization_is_left_alone(
    acme: Tenant, globex: Tenant, orchestrator: FakeOrchestrator
) -> None:
    await delete_agent(acme)

    await acme.client.delete(path(acme))
    await asyncio.wait_for(orchestrator.asked_to_remove.wait(), 20)

    assert orchestrator.removed == [POOL]
    assert await created(globex.client, f"{path(globex)}/worker-queues", {"name": "urgent"})

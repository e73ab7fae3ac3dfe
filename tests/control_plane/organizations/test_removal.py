import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import httpx
import pytest

from control_plane.settings import Settings
from tests.control_plane.organizations.conftest import Tables
from tests.orchestrator import FakeOrchestrator
from tests.serving import api_server
from tests.tenants import Tenant, create_tenant

pytestmark = pytest.mark.integration

Fill = Callable[[Tenant], Awaitable[None]]


def path(tenant: Tenant) -> str:
    return f"/organizations/{tenant.organization['id']}"


async def test_nothing_of_a_deleted_organization_is_left_in_any_table(
    acme: Tenant, globex: Tenant, fill: Fill, tables: Tables
) -> None:
    await fill(acme)
    await fill(globex)
    before = tables.count(acme.organization["id"])
    of_others = tables.count(globex.organization["id"])

    response = await acme.client.delete(path(acme), params={"confirm": "acme"})

    assert response.status_code == 204
    assert [name for name, count in before.items() if count == 0] == []
    assert tables.count(acme.organization["id"]) == dict.fromkeys(before, 0)
    assert tables.count(globex.organization["id"]) == of_others


async def test_the_operator_deletes_an_organization_and_its_slug_is_free_again(
    operator: httpx.AsyncClient, acme: Tenant
) -> None:
    response = await operator.delete(path(acme), params={"confirm": "acme"})

    assert response.status_code == 204
    assert (await operator.get("/organizations")).json() == []
    assert (await operator.post("/organizations", json={"name": "Acme", "slug": "acme"})).status_code == 201


@pytest.mark.parametrize("query", ["", "?confirm=", "?confirm=ACME", "?confirm=globex"])
async def test_a_deletion_that_is_not_confirmed_is_refused(acme: Tenant, query: str) -> None:
    response = await acme.client.delete(f"{path(acme)}{query}")

    assert response.status_code == 422
    assert [error["location"] for error in response.json()["errors"]] == ["query.confirm"]
    assert (await acme.client.get(path(acme))).status_code == 200


async def test_a_confirmation_for_another_organization_deletes_nothing(acme: Tenant, globex: Tenant) -> None:
    response = await acme.client.delete(path(globex), params={"confirm": "globex"})

    assert response.status_code == 404
    assert (await globex.client.get(path(globex))).status_code == 200


async def test_its_work_pools_are_removed_once_the_orchestrator_is_back(settings: Settings) -> None:
    orchestrator = FakeOrchestrator()
    quick = settings.model_copy(update={"reconcile_every": timedelta(milliseconds=50)})
    async with api_server(quick, orchestrator) as url, create_tenant(url, "acme") as tenant:
        orchestrator.down = True
        await tenant.client.delete(path(tenant), params={"confirm": "acme"})
        orchestrator.down = False
        await asyncio.wait_for(orchestrator.asked_to_remove.wait(), 20)

    assert orchestrator.removed == ["env-acme-staging"]

from typing import Any

import httpx
import pytest

from tests.tenants import Tenant

pytestmark = pytest.mark.integration


def path(tenant: Tenant) -> str:
    return f"/organizations/{tenant.organization['id']}"


async def test_people_read_their_own_organization(acme: Tenant) -> None:
    response = await acme.client.get(path(acme))

    assert response.json() == acme.organization


async def test_the_operator_reads_any_organization(operator: httpx.AsyncClient, acme: Tenant) -> None:
    response = await operator.get(path(acme))

    assert response.json() == acme.organization


async def test_a_change_is_merged_and_stays(acme: Tenant) -> None:
    response = await acme.client.patch(path(acme), json={"name": "Acme & Sons"})

    assert response.json().items() >= {"name": "Acme & Sons", "slug": "acme"}.items()
    assert response.json() == (await acme.client.get(path(acme))).json()


@pytest.mark.parametrize("body", [{"name": None}, {"name": " "}, {"slug": "other"}, {"plan": "free"}])
async def test_what_can_not_be_changed_is_refused(acme: Tenant, body: dict[str, Any]) -> None:
    response = await acme.client.patch(path(acme), json=body)

    assert response.status_code == 422
    assert [error["location"] for error in response.json()["errors"]] == [f"body.{next(iter(body))}"]


async def test_the_operator_changes_no_organization(operator: httpx.AsyncClient, acme: Tenant) -> None:
    response = await operator.patch(path(acme), json={"name": "Mine"})

    assert response.status_code == 403

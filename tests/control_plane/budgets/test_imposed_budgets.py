"""What the operator sets an organization, and it can't change."""

from typing import Any

import httpx
import pytest

from tests.tenants import Tenant

pytestmark = pytest.mark.integration


def path(tenant: Tenant) -> str:
    return f"/organizations/{tenant.organization['id']}/imposed-budgets"


async def impose(operator: httpx.AsyncClient, tenant: Tenant, *budgets: dict[str, Any]) -> list[dict[str, Any]]:
    response = await operator.put(path(tenant), json={"budgets": budgets})
    assert response.status_code == 200, response.text
    imposed: list[dict[str, Any]] = response.json()
    return imposed


async def test_the_operator_imposes_budgets_which_the_organization_sees_and_cannot_change(
    acme: Tenant, operator: httpx.AsyncClient
) -> None:
    [imposed] = await impose(operator, acme, {"period": "month", "usd": 500})

    [seen] = (await acme.client.get("/budgets")).json()
    change = await acme.client.patch(f"/budgets/{imposed['id']}", json={"usd": 5_000})
    deletion = await acme.client.delete(f"/budgets/{imposed['id']}")

    assert seen == imposed
    assert imposed["imposed"]
    assert [change.status_code, deletion.status_code] == [409, 409]
    assert change.json()["code"] == "budget_imposed"


async def test_imposing_again_changes_what_is_there_and_takes_away_what_is_not_named(
    acme: Tenant, operator: httpx.AsyncClient
) -> None:
    before = await impose(operator, acme, {"period": "month", "usd": 500}, {"period": "day", "tokens": 5})

    after = await impose(operator, acme, {"period": "month", "tokens": 9})

    assert [budget["period"] for budget in before] == ["day", "month"]
    assert [(budget["id"], budget["tokens"], budget["usd"]) for budget in after] == [(before[1]["id"], 9, None)]
    assert (await operator.get(path(acme))).json() == after


async def test_an_organization_may_have_a_budget_of_its_own_beside_an_imposed_one(
    acme: Tenant, operator: httpx.AsyncClient
) -> None:
    await impose(operator, acme, {"period": "month", "usd": 500})

    response = await acme.client.post("/budgets", json={"scope": "organization", "period": "month", "usd": 50})

    assert response.status_code == 201


async def test_an_owner_imposes_nothing(acme: Tenant) -> None:
    response = await acme.client.put(path(acme), json={"budgets": []})

    assert response.status_code == 403


async def test_each_period_is_named_once_and_with_a_limit(acme: Tenant, operator: httpx.AsyncClient) -> None:
    twice = await operator.put(path(acme), json={"budgets": [{"period": "day", "usd": 1}, {"period": "day", "usd": 2}]})
    nothing = await operator.put(path(acme), json={"budgets": [{"period": "day"}]})

    assert [twice.status_code, nothing.status_code] == [422, 422]

from typing import Any

import pytest

from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration

MODULE = """package no_mondays

import rego.v1

deny contains "not on a Monday" if input.context.day == "monday"
"""


def body(**changes: Any) -> dict[str, Any]:
    return {"name": "no_mondays", "description": "Rest first", "module": MODULE} | changes


async def test_a_policy_comes_back_equal_from_the_place_that_location_names(acme: Tenant) -> None:
    answer = await acme.client.post("/policies", json=body())

    response = await acme.client.get(answer.headers["Location"].removeprefix("/api/v1"))

    assert answer.status_code == 201
    assert response.json() == answer.json()
    assert response.json().items() >= body().items()
    assert response.json()["version"] == 1


async def test_an_agent_may_name_a_policy_of_its_organization(acme: Tenant) -> None:
    await created(acme.client, "/policies", body())
    agent = {
        "name": "Rested",
        "environment_id": acme.environment["id"],
        "llm_config": {"provider": "scripted", "model": "script"},
        "policies": ["no_mondays", "read_only"],
    }

    response = await acme.client.post("/agents", json=agent)

    assert response.status_code == 201
    assert response.json()["policies"] == ["no_mondays", "read_only"]


async def test_an_agent_can_not_name_a_policy_of_another_organization(acme: Tenant, globex: Tenant) -> None:
    await created(globex.client, "/policies", body())
    agent = {
        "name": "Curious",
        "environment_id": acme.environment["id"],
        "llm_config": {"provider": "scripted", "model": "script"},
        "policies": ["no_mondays"],
    }

    response = await acme.client.post("/agents", json=agent)

    assert response.status_code == 422


async def test_a_module_that_does_not_compile_is_refused_with_line_and_column(acme: Tenant) -> None:
    response = await acme.client.post("/policies", json=body(module="package x\n\nallow if {"))

    assert response.status_code == 422
    assert response.json()["code"] == "policy_invalid"
    assert response.json()["errors"][0]["location"].startswith("body.module:3:")


@pytest.mark.parametrize("name", ["no_mondays", "read_only"])
async def test_a_name_that_is_taken_or_bundled_is_refused(acme: Tenant, name: str) -> None:
    await created(acme.client, "/policies", body())

    response = await acme.client.post("/policies", json=body(name=name))

    assert response.status_code == 409
    assert name in response.json()["detail"]


async def test_policies_are_found_by_name(acme: Tenant) -> None:
    policy = await created(acme.client, "/policies", body())

    found = await acme.client.get("/policies", params={"name": "no_mondays"})
    others = await acme.client.get("/policies", params={"name": "no_tuesdays"})

    assert found.json() == [policy]
    assert others.json() == []


@pytest.mark.parametrize("change", [{"name": "No Mondays"}, {"module": ""}, {"modul": "x"}, {"module": "x" * 200_001}])
async def test_what_can_not_be_a_policy_is_refused(acme: Tenant, change: dict[str, str]) -> None:
    response = await acme.client.post("/policies", json=body(**change))

    assert response.status_code == 422

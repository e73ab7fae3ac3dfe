from typing import Any
from uuid import uuid4

import pytest

from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration

MODULE = 'package own\n\nimport rego.v1\n\ndeny contains "no" if false\n'
SCOPES = ["organization", "project", "environment", "agent"]


def places(tenant: Tenant) -> dict[str, dict[str, str]]:
    """A body for each scope."""
    return {
        "organization": {"policy": "read_only", "scope": "organization"},
        "project": {"policy": "read_only", "scope": "project", "project_id": tenant.project["id"]},
        "environment": {"policy": "read_only", "scope": "environment", "environment_id": tenant.environment["id"]},
        "agent": {"policy": "read_only", "scope": "agent", "agent_id": tenant.agent["id"]},
    }


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_binding_comes_back_equal_from_the_place_that_location_names(acme: Tenant, scope: str) -> None:
    body = places(acme)[scope]

    answer = await acme.client.post("/policy-bindings", json=body)
    response = await acme.client.get(answer.headers["Location"].removeprefix("/api/v1"))

    assert answer.status_code == 201
    assert response.json() == answer.json()
    assert response.json().items() >= body.items()
    assert response.headers["ETag"] == answer.headers["ETag"]


async def test_a_policy_of_ones_own_is_told_with_its_id_and_a_bundled_one_has_none(acme: Tenant) -> None:
    policy = await created(acme.client, "/policies", {"name": "own", "module": MODULE})

    own = await created(acme.client, "/policy-bindings", {"policy": "own", "scope": "organization"})
    bundled = await created(acme.client, "/policy-bindings", {"policy": "read_only", "scope": "organization"})

    assert own["policy_id"] == policy["id"]
    assert bundled["policy_id"] is None


@pytest.mark.parametrize("scope", SCOPES)
async def test_the_same_policy_is_bound_to_the_same_place_once(acme: Tenant, scope: str) -> None:
    await created(acme.client, "/policy-bindings", places(acme)[scope])

    response = await acme.client.post("/policy-bindings", json=places(acme)[scope])

    assert response.status_code == 409
    assert response.json()["code"] == "already_exists"


async def test_the_same_policy_may_be_bound_to_every_place(acme: Tenant) -> None:
    made = [await created(acme.client, "/policy-bindings", places(acme)[scope]) for scope in SCOPES]

    response = await acme.client.get("/policy-bindings")

    assert response.json() == [*reversed(made)]


@pytest.mark.parametrize(
    ("change", "location"),
    [
        ({"policy": "no_such_policy"}, "body.policy"),
        ({"policy": "No Policy"}, "body.policy"),
        ({"scope": "planet"}, "body.scope"),
        ({"scope": "project"}, "body"),
        ({"scope": "project", "environment_id": str(uuid4())}, "body"),
        ({"project_id": str(uuid4())}, "body"),
        ({"scope": "agent", "project_id": str(uuid4()), "agent_id": str(uuid4())}, "body"),
        ({"scope": "project", "project_id": str(uuid4())}, "body.project_id"),
        ({"scope": "environment", "environment_id": str(uuid4())}, "body.environment_id"),
        ({"scope": "agent", "agent_id": str(uuid4())}, "body.agent_id"),
        ({"mode": "monitor"}, "body.mode"),
    ],
)
async def test_a_binding_that_makes_no_sense_is_refused_with_its_place(
    acme: Tenant, change: dict[str, Any], location: str
) -> None:
    response = await acme.client.post("/policy-bindings", json=places(acme)["organization"] | change)

    assert response.status_code == 422
    assert [error["location"] for error in response.json()["errors"]] == [location]
    assert (await acme.client.get("/policy-bindings")).json() == []


@pytest.mark.parametrize("scope", ["project", "environment", "agent"])
async def test_a_place_of_another_organization_is_refused_as_if_it_did_not_exist(
    acme: Tenant, globex: Tenant, scope: str
) -> None:
    response = await acme.client.post("/policy-bindings", json=places(globex)[scope])

    assert response.status_code == 422
    assert response.json()["errors"][0]["location"] == f"body.{scope}_id"


async def test_a_policy_of_another_organization_is_refused_as_if_it_did_not_exist(acme: Tenant, globex: Tenant) -> None:
    await created(globex.client, "/policies", {"name": "own", "module": MODULE})

    response = await acme.client.post("/policy-bindings", json={"policy": "own", "scope": "organization"})

    assert response.status_code == 422


async def test_bindings_are_found_by_policy_and_place(acme: Tenant) -> None:
    made = {scope: await created(acme.client, "/policy-bindings", places(acme)[scope]) for scope in SCOPES}

    async def found(**wanted: str) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = (await acme.client.get("/policy-bindings", params=wanted)).json()
        return listed

    assert await found(policy="no_destructive_tools") == []
    assert await found(agent_id=acme.agent["id"]) == [made["agent"]]
    assert await found(environment_id=acme.environment["id"]) == [made["environment"]]
    assert await found(project_id=acme.project["id"]) == [made["agent"], made["environment"], made["project"]]


async def test_a_binding_that_is_deleted_is_gone(acme: Tenant) -> None:
    binding = await created(acme.client, "/policy-bindings", places(acme)["agent"])

    response = await acme.client.delete(f"/policy-bindings/{binding['id']}")

    assert response.status_code == 204
    assert (await acme.client.get(f"/policy-bindings/{binding['id']}")).status_code == 404
    assert (await acme.client.delete(f"/policy-bindings/{binding['id']}")).status_code == 404

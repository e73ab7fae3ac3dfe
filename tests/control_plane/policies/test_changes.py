"""Another module is a new version of a policy; executions keep the one they were created with."""

from typing import Any

import psycopg
import pytest

from tests.conftest import TestDatabase
from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration

FIRST = 'package own\n\nimport rego.v1\n\ndeny contains "first" if false\n'
SECOND = 'package own\n\nimport rego.v1\n\ndeny contains "second" if false\n'


@pytest.fixture
async def policy(acme: Tenant) -> dict[str, Any]:
    return await created(acme.client, "/policies", {"name": "own", "description": "Ours", "module": FIRST})


async def test_another_module_is_a_new_version(acme: Tenant, policy: dict[str, Any]) -> None:
    response = await acme.client.patch(f"/policies/{policy['id']}", json={"module": SECOND})

    changed = {"version": 2, "module": SECOND, "updated_at": response.json()["updated_at"]}
    assert response.status_code == 200
    assert response.json() == policy | changed
    assert (await acme.client.get(f"/policies/{policy['id']}")).json() == response.json()


@pytest.mark.parametrize("change", [{}, {"module": FIRST}, {"description": "Theirs"}])
async def test_the_same_module_is_no_new_version(acme: Tenant, policy: dict[str, Any], change: dict[str, str]) -> None:
    response = await acme.client.patch(f"/policies/{policy['id']}", json=change)

    assert response.status_code == 200
    assert response.json()["version"] == 1
    assert response.json().items() >= change.items()


async def test_replacing_gives_what_is_left_out_its_default(acme: Tenant, policy: dict[str, Any]) -> None:
    response = await acme.client.put(f"/policies/{policy['id']}", json={"name": "own", "module": SECOND})

    assert response.status_code == 200
    assert response.json()["version"] == 2
    assert response.json()["description"] == ""
    assert response.json()["module"] == SECOND


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_a_policy_keeps_its_name(acme: Tenant, policy: dict[str, Any], method: str) -> None:
    body = {"name": "other", "module": SECOND}

    response = await acme.client.request(method, f"/policies/{policy['id']}", json=body)

    assert response.status_code == 422
    assert [error["location"] for error in response.json()["errors"]] == ["body.name"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"module": "package x\n\nallow if {"}, "policy_invalid"),
        ({"module": None}, "invalid"),
        ({"modul": "x"}, "invalid"),
    ],
)
async def test_a_change_that_can_not_be_used_changes_nothing(
    acme: Tenant, policy: dict[str, Any], change: dict[str, Any], code: str
) -> None:
    response = await acme.client.patch(f"/policies/{policy['id']}", json=change)

    assert response.status_code == 422
    assert response.json()["code"] == code
    assert (await acme.client.get(f"/policies/{policy['id']}")).json() == policy


@pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE"])
async def test_a_state_that_is_no_longer_there_is_neither_changed_nor_deleted(
    acme: Tenant, policy: dict[str, Any], method: str
) -> None:
    known = (await acme.client.get(f"/policies/{policy['id']}")).headers["ETag"]
    await acme.client.patch(f"/policies/{policy['id']}", json={"description": "Somebody else's"})

    response = await acme.client.request(
        method,
        f"/policies/{policy['id']}",
        headers={"If-Match": known},
        json={"PATCH": {"module": SECOND}, "PUT": {"name": "own", "module": SECOND}}.get(method),
    )

    assert response.status_code == 412
    assert (await acme.client.get(f"/policies/{policy['id']}")).json()["description"] == "Somebody else's"


async def test_the_versions_are_listed_newest_first_and_stay_as_they_were(acme: Tenant, policy: dict[str, Any]) -> None:
    await acme.client.patch(f"/policies/{policy['id']}", json={"module": SECOND})

    listed = await acme.client.get(f"/policies/{policy['id']}/versions")
    first = await acme.client.get(f"/policies/{policy['id']}/versions/1")

    assert [(found["version"], found["module"]) for found in listed.json()] == [(2, SECOND), (1, FIRST)]
    assert first.json() == listed.json()[1]
    assert (await acme.client.get(f"/policies/{policy['id']}/versions/3")).status_code == 404


async def test_an_execution_keeps_the_module_it_was_created_with(
    acme: Tenant, policy: dict[str, Any], test_database: TestDatabase
) -> None:
    await acme.client.patch(f"/agents/{acme.agent['id']}", json={"policies": ["own"]})
    before = await acme.start()
    await acme.client.patch(f"/policies/{policy['id']}", json={"module": SECOND})
    after = await acme.start()

    with psycopg.connect(test_database.superuser_url) as connection:
        found = connection.execute(
            "SELECT plan->'policies'->0->>'version', plan->'policies'->0->>'module' FROM executions"
            " WHERE id = ANY (%s) ORDER BY created_at",
            [[before["id"], after["id"]]],
        ).fetchall()

    assert found == [("1", FIRST), ("2", SECOND)]


async def test_the_policies_that_come_with_the_product_can_be_read(acme: Tenant) -> None:
    response = await acme.client.get("/policies/bundled")

    assert [found["name"] for found in response.json()] == [
        "no_destructive_tools",
        "read_only",
        "require_approval_for_prod",
    ]
    assert "deny contains" in response.json()[1]["module"]
    assert response.json()[1]["version"] >= 1

"""Each change of an agent is a new version; what has run stays as it was."""

from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.conftest import TestDatabase
from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration


def path(tenant: Tenant) -> str:
    return f"/agents/{tenant.agent['id']}"


async def test_a_change_makes_a_new_version_with_everything_else_as_it_was(acme: Tenant) -> None:
    response = await acme.client.patch(path(acme), json={"instructions": "Be brief."})

    assert response.status_code == 200
    changed = {"version": 2, "instructions": "Be brief.", "updated_at": response.json()["updated_at"]}
    assert response.json() == acme.agent | changed
    assert response.json()["updated_at"] > acme.agent["updated_at"]
    assert (await acme.client.get(path(acme))).json() == response.json()


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"name": "Assistant"},
        {"llm_config": {}},
        {"llm_config": {"provider": "scripted"}, "toolsets": ["clock", "files"]},
        {"llm_config": {"temperature": None}},
    ],
)
async def test_a_change_that_changes_nothing_makes_no_version(acme: Tenant, change: dict[str, Any]) -> None:
    response = await acme.client.patch(path(acme), json=change)

    assert response.status_code == 200
    assert response.json() == acme.agent


async def test_model_settings_are_merged_and_null_takes_one_away(acme: Tenant) -> None:
    await acme.client.patch(path(acme), json={"llm_config": {"temperature": 0.5, "max_tokens": 100}})

    response = await acme.client.patch(path(acme), json={"llm_config": {"temperature": None, "model": "assistant"}})

    assert response.json()["llm_config"] == {"provider": "scripted", "model": "assistant", "max_tokens": 100}


async def test_lists_are_replaced(acme: Tenant) -> None:
    response = await acme.client.patch(path(acme), json={"toolsets": ["clock"], "policies": []})

    assert response.json()["toolsets"] == ["clock"]
    assert response.json()["policies"] == []


@pytest.mark.parametrize(
    ("change", "location"),
    [
        ({"instruction": "typo"}, "body.instruction"),
        ({"environment_id": str(uuid4())}, "body.environment_id"),
        ({"name": None}, "body.name"),
        ({"llm_config": None}, "body.llm_config"),
        ({"llm_config": {"provider": None}}, "body.llm_config.provider"),
        ({"llm_config": {"base_url": "x"}}, "body.llm_config.base_url"),
        ({"policies": ["no_such_policy"]}, "body.policies"),
        ({"agent_type": "abacus"}, "body.agent_type"),
        ({"toolsets": ["not a name"]}, "body.toolsets.0"),
    ],
)
async def test_a_change_that_can_not_be_made_is_refused_with_its_place(
    acme: Tenant, change: dict[str, Any], location: str
) -> None:
    response = await acme.client.patch(path(acme), json=change)

    assert response.status_code == 422
    assert [error["location"] for error in response.json()["errors"]] == [location]
    assert (await acme.client.get(path(acme))).json() == acme.agent


async def test_a_name_that_another_agent_has_is_refused(acme: Tenant) -> None:
    other = {"name": "Other", "environment_id": acme.environment["id"], "llm_config": acme.agent["llm_config"]}
    await created(acme.client, "/agents", other)

    response = await acme.client.patch(path(acme), json={"name": "Other"})

    assert response.status_code == 409
    assert response.json()["code"] == "already_exists"


async def test_a_change_of_a_state_that_is_no_longer_there_is_refused(acme: Tenant) -> None:
    known = (await acme.client.get(path(acme))).headers["ETag"]
    await acme.client.patch(path(acme), json={"description": "Somebody else's"}, headers={"If-Match": known})

    response = await acme.client.patch(path(acme), json={"description": "Mine"}, headers={"If-Match": known})

    assert response.status_code == 412
    assert (await acme.client.get(path(acme))).json()["description"] == "Somebody else's"


async def test_the_state_that_is_known_already_is_not_sent_again(acme: Tenant) -> None:
    known = (await acme.client.get(path(acme))).headers["ETag"]

    response = await acme.client.get(path(acme), headers={"If-None-Match": known})

    assert response.status_code == 304


async def test_an_execution_that_waits_keeps_the_version_it_was_created_with(
    acme: Tenant, test_database: TestDatabase
) -> None:
    before = await acme.start()
    await acme.client.patch(path(acme), json={"instructions": "Be brief.", "policies": ["read_only"]})
    after = await acme.start()

    with psycopg.connect(test_database.superuser_url) as connection:
        found = connection.execute(
            "SELECT agent_version, plan->'agent'->>'instructions', plan->'policies'->0->>'name' FROM executions"
            " WHERE id = ANY (%s) ORDER BY created_at",
            [[before["id"], after["id"]]],
        ).fetchall()

    assert found == [(1, "", "no_destructive_tools"), (2, "Be brief.", "read_only")]
    assert (await acme.client.get(f"/executions/{before['id']}")).json()["agent_version"] == 1

"""A policy is deleted only when nothing relies on it."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from control_plane.agents import service as agents
from control_plane.agents.schemas import AgentUpdate
from control_plane.db import Database
from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration

MODULE = 'package own\n\nimport rego.v1\n\ndeny contains "no" if false\n'


@pytest.fixture
async def policy(acme: Tenant) -> dict[str, Any]:
    return await created(acme.client, "/policies", {"name": "own", "module": MODULE})


async def test_a_policy_that_nothing_relies_on_is_deleted_with_its_versions(
    acme: Tenant, policy: dict[str, Any]
) -> None:
    response = await acme.client.delete(f"/policies/{policy['id']}")

    assert response.status_code == 204
    assert (await acme.client.get(f"/policies/{policy['id']}")).status_code == 404
    assert (await acme.client.get(f"/policies/{policy['id']}/versions")).status_code == 404
    assert (await acme.client.get("/policies")).json() == []


async def test_a_policy_that_is_bound_is_not_deleted_and_the_binding_is_named(
    acme: Tenant, policy: dict[str, Any]
) -> None:
    binding = await created(acme.client, "/policy-bindings", {"policy": "own", "scope": "organization"})

    response = await acme.client.delete(f"/policies/{policy['id']}")

    assert response.status_code == 409
    assert response.json()["code"] == "policy_in_use"
    assert binding["id"] in response.json()["detail"]
    assert (await acme.client.get(f"/policies/{policy['id']}")).status_code == 200


async def test_a_policy_that_an_agent_names_is_not_deleted_and_the_agent_is_named(
    acme: Tenant, policy: dict[str, Any]
) -> None:
    await acme.client.patch(f"/agents/{acme.agent['id']}", json={"name": "Careful", "policies": ["own"]})

    response = await acme.client.delete(f"/policies/{policy['id']}")

    assert response.status_code == 409
    assert "Careful" in response.json()["detail"]


async def test_an_old_version_or_a_deleted_agent_does_not_keep_a_policy(acme: Tenant, policy: dict[str, Any]) -> None:
    body = {"name": "Gone", "environment_id": acme.environment["id"], "llm_config": acme.agent["llm_config"]}
    gone = await created(acme.client, "/agents", body | {"policies": ["own"]})
    await acme.client.delete(f"/agents/{gone['id']}")
    await acme.client.patch(f"/agents/{acme.agent['id']}", json={"policies": ["own"]})
    await acme.client.patch(f"/agents/{acme.agent['id']}", json={"policies": []})

    response = await acme.client.delete(f"/policies/{policy['id']}")

    assert response.status_code == 204


async def test_a_policy_is_not_deleted_while_an_agent_is_just_coming_to_name_it(
    acme: Tenant, policy: dict[str, Any], database: Database
) -> None:
    async with database.tenant(UUID(acme.organization["id"])) as session:
        current = await agents.get(session, UUID(acme.agent["id"]), lock=True)
        await agents.change(session, current, AgentUpdate(policies=["own"]))
        deletion = asyncio.create_task(acme.client.delete(f"/policies/{policy['id']}"))
        finished, _ = await asyncio.wait([deletion], timeout=0.5)

    assert finished == set()
    assert (await deletion).status_code == 409

"""What a configuration makes of the plans of executions."""

from typing import Any

import pytest

from tests.conftest import TestDatabase
from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration


async def agent_with(tenant: Tenant, *toolsets: str) -> dict[str, Any]:
    body = {
        "name": "Carpenter",
        "environment_id": tenant.environment["id"],
        "llm_config": {"provider": "scripted", "model": "script"},
        "toolsets": list(toolsets),
    }
    return await created(tenant.client, "/agents", body)


async def planned(tenant: Tenant, agent: dict[str, Any]) -> dict[str, Any]:
    """What a worker is told of the toolsets of a new execution, by their names."""
    execution = await created(tenant.client, "/executions", {"agent_id": agent["id"], "input": {"message": "Go."}})
    claim = await tenant.claim(execution["id"], with_plan=True)
    return {toolset.pop("name"): toolset for toolset in claim["plan"]["toolsets"]}


async def test_without_a_configuration_a_toolset_is_as_its_author_made_it(acme: Tenant) -> None:
    agent = await agent_with(acme, "bench", "forge")

    toolsets = await planned(acme, agent)

    assert toolsets == {
        "bench": {"settings": {}, "secrets": {"key": "key", "lock": "lock"}},
        "forge": {"settings": {}, "secrets": {}},
    }


async def test_the_narrowest_configuration_counts_alone(acme: Tenant) -> None:
    agent = await agent_with(acme, "bench")
    await created(acme.client, "/secrets", {"name": "house", "value": "x"})
    wide = {"toolset": "bench", "settings": {"grip": "loose"}, "secrets": {"key": "house"}}
    await created(acme.client, "/toolset-configs", wide)
    by_organization = await planned(acme, agent)
    await created(acme.client, "/toolset-configs", {"toolset": "bench", "project_id": acme.project["id"]})
    by_project = await planned(acme, agent)
    narrow = {"toolset": "bench", "environment_id": acme.environment["id"], "settings": {"grip": "firm"}}
    await created(acme.client, "/toolset-configs", narrow)
    by_environment = await planned(acme, agent)

    assert by_organization == {"bench": {"settings": {"grip": "loose"}, "secrets": {"key": "house", "lock": "lock"}}}
    assert by_project == {"bench": {"settings": {}, "secrets": {"key": "key", "lock": "lock"}}}
    assert by_environment["bench"]["settings"] == {"grip": "firm"}


async def test_a_configuration_of_another_place_changes_nothing(acme: Tenant) -> None:
    agent = await agent_with(acme, "bench")
    project = await created(acme.client, "/projects", {"name": "Other", "slug": "other"})
    other = {"name": "Other", "slug": "other", "project_id": acme.project["id"]}
    environment = await created(acme.client, "/environments", other)
    off = {"toolset": "bench", "enabled": False}
    await created(acme.client, "/toolset-configs", off | {"project_id": project["id"]})
    await created(acme.client, "/toolset-configs", off | {"environment_id": environment["id"]})

    assert (await planned(acme, agent))["bench"]["settings"] == {}


async def test_an_execution_keeps_the_settings_it_was_created_with(acme: Tenant) -> None:
    agent = await agent_with(acme, "bench")
    made = await created(acme.client, "/toolset-configs", {"toolset": "bench", "settings": {"grip": "firm"}})
    execution = await created(acme.client, "/executions", {"agent_id": agent["id"], "input": {"message": "Go."}})

    await acme.client.patch(f"/toolset-configs/{made['id']}", json={"settings": {"grip": "loose"}})

    claim = await acme.claim(execution["id"], with_plan=True)
    assert claim["plan"]["toolsets"][0]["settings"] == {"grip": "firm"}


async def test_an_agent_whose_toolset_is_switched_off_does_not_start(acme: Tenant) -> None:
    agent = await agent_with(acme, "bench")
    await created(acme.client, "/toolset-configs", {"toolset": "bench", "enabled": False})

    response = await acme.client.post("/executions", json={"agent_id": agent["id"], "input": {"message": "Go."}})

    assert (response.status_code, response.json()["code"]) == (409, "toolset_disabled")
    assert "bench is switched off" in response.json()["detail"]


async def test_a_toolset_that_the_server_does_not_know_gets_what_people_have_named(acme: Tenant) -> None:
    agent = await agent_with(acme, "forge")
    await created(acme.client, "/secrets", {"name": "house", "value": "x"})
    await created(acme.client, "/toolset-configs", {"toolset": "forge", "secrets": {"fuel": "house"}})

    assert (await planned(acme, agent))["forge"]["secrets"] == {"fuel": "house"}


async def test_whoever_has_a_role_in_one_project_starts_under_the_organizations_configuration(
    acme: Tenant, api_url: str
) -> None:
    agent = await agent_with(acme, "bench")
    await created(acme.client, "/toolset-configs", {"toolset": "bench", "settings": {"grip": "loose"}})
    body = {"name": "dev", "role": "developer", "project_id": acme.project["id"]}
    key = await created(acme.client, f"/organizations/{acme.organization['id']}/api-keys", body)
    headers = {"Authorization": f"Bearer {key['key']}"}

    started = await acme.client.post(
        "/executions", json={"agent_id": agent["id"], "input": {"message": "Go."}}, headers=headers
    )
    written = await acme.client.post("/toolset-configs", json={"toolset": "forge"}, headers=headers)

    claim = await acme.claim(started.json()["id"], with_plan=True)
    assert claim["plan"]["toolsets"][0]["settings"] == {"grip": "loose"}
    assert written.status_code == 403


async def test_settings_that_became_invalid_give_out_no_secret(acme: Tenant, test_database: TestDatabase) -> None:
    agent = await agent_with(acme, "bench")
    await created(acme.client, "/toolset-configs", {"toolset": "bench"})
    await test_database.change("UPDATE toolset_configs SET settings = '{\"old\": 1}'")

    assert (await planned(acme, agent))["bench"] == {"settings": {"old": 1}, "secrets": {}}

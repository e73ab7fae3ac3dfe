import pytest

from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration


def path(tenant: Tenant, below: str = "") -> str:
    return f"/agents/{tenant.agent['id']}{below}"


async def deleted(tenant: Tenant) -> None:
    response = await tenant.client.delete(path(tenant))
    assert response.status_code == 204


async def test_a_deleted_agent_is_gone_from_its_place_and_from_lists(acme: Tenant) -> None:
    await deleted(acme)

    assert (await acme.client.get(path(acme))).status_code == 404
    assert (await acme.client.get("/agents")).json() == []
    assert (await acme.client.get("/agents", params={"name": "Assistant"})).json() == []


async def test_a_deleted_agent_can_neither_be_changed_nor_started(acme: Tenant) -> None:
    await deleted(acme)

    change = await acme.client.patch(path(acme), json={"description": "Back"})
    rollback = await acme.client.post(path(acme, "/rollback"), json={"version": 1})
    execute = await acme.client.post(path(acme, "/execute"), json={"prompt": "hello"})
    start = await acme.client.post("/executions", json={"agent_id": acme.agent["id"], "input": {"message": "hello"}})

    assert [answer.status_code for answer in (change, rollback, execute, start)] == [404, 404, 404, 422]


async def test_deleting_again_finds_nothing(acme: Tenant) -> None:
    await deleted(acme)

    assert (await acme.client.delete(path(acme))).status_code == 404


async def test_the_executions_of_a_deleted_agent_and_what_they_ran_can_still_be_read(acme: Tenant) -> None:
    execution = await acme.start()
    await deleted(acme)

    read = await acme.client.get(f"/executions/{execution['id']}")
    events = await acme.client.get(f"/executions/{execution['id']}/events")
    found = await acme.client.get("/executions", params={"agent_id": acme.agent["id"]})
    version = await acme.client.get(path(acme, f"/versions/{execution['agent_version']}"))
    versions = await acme.client.get(path(acme, "/versions"))

    assert read.json()["agent_id"] == acme.agent["id"]
    assert events.json() != []
    assert [each["id"] for each in found.json()] == [execution["id"]]
    assert version.json()["name"] == "Assistant"
    assert versions.json() == [version.json()]


async def test_an_execution_under_way_goes_on_when_its_agent_is_deleted(acme: Tenant) -> None:
    execution = await acme.start()
    await deleted(acme)

    claim = await acme.claim(execution["id"])

    assert claim["fence"] == 1


async def test_the_name_of_a_deleted_agent_is_free_again(acme: Tenant) -> None:
    await deleted(acme)
    body = {
        "name": "Assistant",
        "environment_id": acme.environment["id"],
        "llm_config": {"provider": "scripted", "model": "script"},
    }

    agent = await created(acme.client, "/agents", body)

    assert agent["id"] != acme.agent["id"]
    assert agent["version"] == 1


async def test_what_was_bound_to_a_deleted_agent_is_unbound(acme: Tenant) -> None:
    binding = {"policy": "read_only", "scope": "agent", "agent_id": acme.agent["id"]}
    await created(acme.client, "/policy-bindings", binding)

    await deleted(acme)

    again = await acme.client.post("/policy-bindings", json=binding)
    assert (await acme.client.get("/policy-bindings")).json() == []
    assert again.status_code == 422
    assert again.json()["errors"][0]["location"] == "body.agent_id"


async def test_an_agent_that_has_changed_meanwhile_is_not_deleted(acme: Tenant) -> None:
    known = (await acme.client.get(path(acme))).headers["ETag"]
    await acme.client.patch(path(acme), json={"description": "Needed after all"})

    response = await acme.client.delete(path(acme), headers={"If-Match": known})

    assert response.status_code == 412
    assert (await acme.client.get(path(acme))).status_code == 200


async def test_an_environment_is_kept_by_its_agents_and_not_by_those_that_are_deleted(acme: Tenant) -> None:
    execution = await acme.start()
    (await acme.client.delete(f"/executions/{execution['id']}")).raise_for_status()

    kept = await acme.client.delete(f"/environments/{acme.environment['id']}")
    await deleted(acme)
    removed = await acme.client.delete(f"/environments/{acme.environment['id']}")

    assert kept.status_code == 409
    assert "agents" in kept.json()["detail"]
    assert removed.status_code == 204
    assert (await acme.client.get(path(acme, "/versions"))).status_code == 404

from typing import Any

import pytest

from tests.asking import add_agent
from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration


async def team_body(tenant: Tenant, **changes: Any) -> dict[str, Any]:
    """What makes a team of two new agents."""
    lead, tester = await add_agent(tenant, "Lead", toolsets=[]), await add_agent(tenant, "Tester")
    return {
        "name": "Release",
        "description": "Brings a change to production",
        "environment_id": tenant.environment["id"],
        "instructions": "Test before you deploy.",
        "leader_agent_id": lead["id"],
        "members": [{"agent_id": tester["id"], "role": "Tests"}, {"agent_id": tenant.agent["id"], "role": ""}],
        "max_delegations": 5,
    } | changes


async def test_what_was_sent_comes_back_equal_and_is_listed(acme: Tenant) -> None:
    body = await team_body(acme)

    team = await created(acme.client, "/teams", body)

    listed = await acme.client.get("/teams", params={"name": "Release", "environment_id": acme.environment["id"]})
    of_others = await acme.client.get("/teams", params={"name": "Other"})
    assert {name: team[name] for name in body} == body
    assert (team["version"], team["project_id"]) == (1, acme.project["id"])
    assert (await acme.client.get(f"/teams/{team['id']}")).json() == team
    assert listed.json() == [team]
    assert of_others.json() == []


async def test_a_change_counts_unless_it_changes_nothing(acme: Tenant) -> None:
    body = await team_body(acme)
    team = await created(acme.client, "/teams", body)
    path = f"/teams/{team['id']}"

    same = (await acme.client.patch(path, json={"members": body["members"]})).json()
    changed = (await acme.client.patch(path, json={"members": body["members"][:1], "name": "Ship"})).json()
    stale = await acme.client.patch(path, json={"name": "Late"}, headers={"If-Match": '"old"'})

    assert same == team
    assert changed["members"] == body["members"][:1]
    assert (changed["name"], changed["version"], changed["instructions"]) == ("Ship", 2, body["instructions"])
    assert stale.status_code == 412


async def test_a_deleted_team_is_gone_and_its_name_is_free(acme: Tenant) -> None:
    body = await team_body(acme)
    team = await created(acme.client, "/teams", body)
    taken = await acme.client.post("/teams", json=body)

    deleted = await acme.client.delete(f"/teams/{team['id']}")

    gone = [await acme.client.get(f"/teams/{team['id']}"), await acme.client.delete(f"/teams/{team['id']}")]
    again = await created(acme.client, "/teams", body)
    assert (taken.status_code, taken.json()["code"]) == (409, "already_exists")
    assert deleted.status_code == 204
    assert [answer.status_code for answer in gone] == [404, 404]
    assert (await acme.client.get("/teams")).json() == [again]


async def test_only_agents_of_the_project_are_in_it_and_the_leader_is_of_its_environment(
    acme: Tenant, globex: Tenant
) -> None:
    body = await team_body(acme)
    other = await created(acme.client, "/projects", {"name": "Bank", "slug": "bank"})
    bank, far = [
        await created(acme.client, "/environments", {"name": slug, "slug": slug, "project_id": project})
        for slug, project in (("bank", other["id"]), ("far", acme.project["id"]))
    ]
    banker = await add_agent(acme, "Banker", environment_id=bank["id"])
    near = await add_agent(acme, "Near", environment_id=far["id"])
    [first, *_] = body["members"]

    refused = [
        await acme.client.post("/teams", json=body | {"members": [{"agent_id": banker["id"]}]}),
        await acme.client.post("/teams", json=body | {"members": [{"agent_id": globex.agent["id"]}]}),
        await acme.client.post("/teams", json=body | {"leader_agent_id": near["id"]}),
        await acme.client.post("/teams", json=body | {"members": [{"agent_id": body["leader_agent_id"]}]}),
        await acme.client.post("/teams", json=body | {"members": [first, first]}),
        await acme.client.post("/teams", json=body | {"members": []}),
        await acme.client.post("/teams", json=body | {"environment_id": globex.environment["id"]}),
    ]
    across = await acme.client.post("/teams", json=body | {"members": [{"agent_id": near["id"]}]})

    assert [answer.status_code for answer in refused] == [422] * 7
    assert [answer.json()["errors"][0]["location"] for answer in refused] == [
        "body.members.0.agent_id",
        "body.members.0.agent_id",
        "body.leader_agent_id",
        "body.members.0.agent_id",
        "body.members",
        "body.members",
        "body.environment_id",
    ]
    assert across.status_code == 201

from typing import Any

import pytest

from tests.asking import add_agent, asking
from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration


@pytest.fixture
async def far(acme: Tenant) -> dict[str, Any]:
    """An agent in another environment of the project."""
    environment = {"name": "Production", "slug": "production", "project_id": acme.project["id"]}
    return await add_agent(
        acme, "Deployer", environment_id=(await created(acme.client, "/environments", environment))["id"]
    )


@pytest.fixture
async def team(acme: Tenant, far: dict[str, Any]) -> dict[str, Any]:
    """A team whose leader has no toolsets of its own, and may ask two agents once each."""
    lead = await add_agent(acme, "Lead", toolsets=["clock"], instructions="Be careful.")
    return await created(
        acme.client,
        "/teams",
        {
            "name": "Release",
            "environment_id": acme.environment["id"],
            "leader_agent_id": lead["id"],
            "members": [{"agent_id": acme.agent["id"], "role": "Tests"}, {"agent_id": far["id"], "role": "Deploys"}],
            "instructions": "Test before you deploy.",
            "max_delegations": 2,
        },
    )


async def executed(tenant: Tenant, team: dict[str, Any], **body: Any) -> dict[str, Any]:
    return await created(tenant.client, f"/teams/{team['id']}/execute", {"prompt": "Release 1.2."} | body)


async def test_a_team_runs_as_its_leader_who_knows_the_members_and_has_the_toolset_to_ask_them(
    acme: Tenant, team: dict[str, Any], far: dict[str, Any]
) -> None:
    execution = await executed(acme, team, context={"ticket": 7})

    plan = (await acme.claim(execution["id"], with_plan=True))["plan"]
    listed = await acme.client.get("/executions", params={"team_id": team["id"]})
    assert (execution["team_id"], execution["agent_id"]) == (team["id"], team["leader_agent_id"])
    assert execution["input"] == {"message": "Release 1.2.", "context": {"ticket": 7}}
    assert [toolset["name"] for toolset in plan["toolsets"]] == ["clock", "agent"]
    assert plan["team"]["members"] == [
        {"agent_id": acme.agent["id"], "name": "Assistant", "role": "Tests"},
        {"agent_id": far["id"], "name": "production/Deployer", "role": "Deploys"},
    ]
    assert plan["agent"]["instructions"].startswith("Be careful.\n\nYou lead the team Release.")
    assert "\n- Assistant: Tests\n- production/Deployer: Deploys\n" in plan["agent"]["instructions"]
    assert plan["agent"]["instructions"].endswith("Test before you deploy.")
    assert [one["id"] for one in listed.json()] == [execution["id"]]


async def test_the_leader_asks_the_members_as_they_were_when_it_started_and_nobody_else(
    acme: Tenant, api_url: str, team: dict[str, Any], far: dict[str, Any]
) -> None:
    await add_agent(acme, "Stranger")
    execution = await executed(acme, team)
    await acme.client.patch(f"/teams/{team['id']}", json={"members": [{"agent_id": acme.agent["id"]}]})
    async with asking(acme, api_url, team, execution_id=execution["id"]) as leading:
        told = (await leading.http.get(f"/worker/executions/{leading.id}/agents")).json()["agents"]
        stranger = await leading.ask("Stranger", key="stranger")
        children = [
            await leading.child("Assistant", key="one"),
            await leading.child("production/Deployer", key="two"),
        ]
        too_many = await leading.ask("Assistant", key="three")

    deployment = (await acme.client.get(f"/executions/{children[1]['execution_id']}")).json()
    assert [(one["name"], one["role"]) for one in told] == [("Assistant", "Tests"), ("production/Deployer", "Deploys")]
    assert stranger.status_code == 404
    assert deployment["environment_id"] == far["environment_id"]
    assert (deployment["team_id"], deployment["root_execution_id"]) == (None, execution["id"])
    assert (too_many.status_code, too_many.json()["code"]) == (409, "too_many_children")


async def test_whoever_runs_an_environment_decides_whom_its_agents_ask_in_teams_too(
    acme: Tenant, api_url: str, team: dict[str, Any]
) -> None:
    place = {"toolset": "agent", "environment_id": acme.environment["id"], "settings": {"agents": ["Assistant"]}}
    await created(acme.client, "/toolset-configs", place)
    execution = await executed(acme, team)
    async with asking(acme, api_url, team, execution_id=execution["id"]) as leading:
        allowed = await leading.ask("Assistant", key="one")
        refused = await leading.ask("production/Deployer", key="two")

    assert (allowed.status_code, refused.status_code) == (200, 404)


async def test_a_team_without_its_leader_can_not_run_and_without_a_member_it_can(
    acme: Tenant, team: dict[str, Any], far: dict[str, Any]
) -> None:
    await acme.client.delete(f"/agents/{far['id']}")
    execution = await executed(acme, team)
    plan = (await acme.claim(execution["id"], with_plan=True))["plan"]
    await acme.client.delete(f"/agents/{team['leader_agent_id']}")

    headless = await acme.client.post(f"/teams/{team['id']}/execute", json={"prompt": "Release 1.2."})

    assert [member["name"] for member in plan["team"]["members"]] == ["Assistant"]
    assert (headless.status_code, headless.json()["code"]) == (409, "team_incomplete")

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from control_plane.settings import Settings
from tests.asking import Asking, add_agent, asking
from tests.conftest import TestDatabase
from tests.orchestrator import FakeOrchestrator
from tests.streams import read as events_of_stream
from tests.tenants import Tenant, client, created

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(
        update={
            "child_depth": 2,
            "children_per_execution": 2,
            "executions_per_tree": 3,
            "reconcile_every": timedelta(milliseconds=100),
        }
    )


@pytest.fixture
async def lead(acme: Tenant) -> dict[str, Any]:
    return await add_agent(acme, "Lead")


@pytest.fixture
async def parent(acme: Tenant, api_url: str, lead: dict[str, Any]) -> AsyncIterator[Asking]:
    """An execution that may ask the agent Assistant."""
    async with asking(acme, api_url, lead) as execution:
        yield execution


async def read(tenant: Tenant, execution_id: str) -> dict[str, Any]:
    response = await tenant.client.get(f"/executions/{execution_id}")
    response.raise_for_status()
    execution: dict[str, Any] = response.json()
    return execution


async def test_a_child_is_an_execution_of_its_own_below_the_one_that_asked(
    acme: Tenant, parent: Asking, orchestrator: FakeOrchestrator
) -> None:
    child = await parent.child("Assistant", context={"ticket": 7, "environment": "unguarded"})

    execution = await read(acme, child["execution_id"])
    [listed] = (await acme.client.get("/executions", params={"parent_execution_id": parent.id})).json()
    assert (child["status"], child["ended"], child["agent"]) == ("pending", False, "Assistant")
    assert execution["agent_id"] == acme.agent["id"]
    # What the requester said, which policies read, is no model's to change.
    assert execution["input"] == {"message": "Test it.", "context": {"ticket": 7, "environment": "staging"}}
    assert execution["requested_by"] == (await read(acme, parent.id))["requested_by"]
    assert execution["parent_execution_id"] == execution["root_execution_id"] == parent.id
    assert execution["depth"] == 1
    assert listed["id"] == child["execution_id"]


async def test_a_child_has_its_own_plan_with_its_own_policies(acme: Tenant, api_url: str, parent: Asking) -> None:
    child = await parent.child("Assistant")

    claim = await acme.claim(child["execution_id"], with_plan=True)

    assert [policy["name"] for policy in claim["plan"]["policies"]] == ["no_destructive_tools"]
    assert claim["plan"]["parent_execution_id"] == parent.id
    assert claim["plan"]["depth"] == 1


async def test_the_same_call_made_again_finds_the_same_child(acme: Tenant, parent: Asking) -> None:
    first = await parent.child("Assistant", key="one")
    again = await parent.child("Assistant", key="one")
    other = await parent.child("Assistant", key="two")

    assert first["execution_id"] == again["execution_id"]
    assert other["execution_id"] != first["execution_id"]
    assert len((await acme.client.get("/executions", params={"parent_execution_id": parent.id})).json()) == 2


async def test_the_same_call_can_be_made_twice_at_once(acme: Tenant, parent: Asking) -> None:
    both = await asyncio.gather(*(parent.child("Assistant", key="one") for _ in range(4)))

    assert len({child["execution_id"] for child in both}) == 1


async def test_a_key_of_another_call_is_refused(parent: Asking) -> None:
    await parent.child("Assistant", key="one")

    response = await parent.ask("Assistant", key="one", message="Something else.")

    assert (response.status_code, response.json()["code"]) == (409, "another_call")


async def test_whoever_waits_is_told_the_answer_when_it_is_there(acme: Tenant, api_url: str, parent: Asking) -> None:
    child = await parent.child("Assistant")
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        waiting = group.create_task(parent.answer(child["execution_id"], seconds=50))
        async with asking(acme, api_url, acme.agent, execution_id=child["execution_id"]) as working:
            usage = {"input_tokens": 3, "output_tokens": 4, "model_turns": 1, "tool_calls": 0}
            await working.finish(response="It works.", usage=usage)

    told = waiting.result().json()
    assert (told["status"], told["ended"], told["response"]) == ("completed", True, "It works.")
    assert told["usage"]["output_tokens"] == 4


async def test_who_has_not_the_toolset_asks_nobody(acme: Tenant, api_url: str) -> None:
    async with asking(acme, api_url, acme.agent) as execution:
        asked = await execution.ask("Lead")
        listed = await execution.http.get(f"/worker/executions/{execution.id}/agents")

    assert (asked.status_code, listed.status_code) == (403, 403)
    assert "hasn't the toolset agent" in asked.json()["detail"]


async def test_those_to_ask_are_the_others_of_the_environment(acme: Tenant, parent: Asking) -> None:
    elsewhere = await created(
        acme.client, "/environments", {"name": "Other", "slug": "other", "project_id": acme.project["id"]}
    )
    await add_agent(acme, "Far", environment_id=elsewhere["id"])
    deleted = await add_agent(acme, "Gone")
    await acme.client.delete(f"/agents/{deleted['id']}")

    listed = await parent.http.get(f"/worker/executions/{parent.id}/agents")
    far, gone, itself = [await parent.ask(name) for name in ("other/Far", "Gone", "Lead")]

    assert [agent["name"] for agent in listed.json()["agents"]] == ["Assistant"]
    assert [far.status_code, gone.status_code, itself.status_code] == [404, 404, 404]
    assert "There are: Assistant." in far.json()["detail"]


async def test_an_agent_can_be_asked_by_its_id(acme: Tenant, parent: Asking) -> None:
    child = await parent.child(acme.agent["id"])

    assert (await read(acme, child["execution_id"]))["agent_id"] == acme.agent["id"]


async def test_agents_of_another_project_and_of_another_organization_do_not_exist(
    acme: Tenant, globex: Tenant, parent: Asking
) -> None:
    project = await created(acme.client, "/projects", {"name": "Bank", "slug": "bank"})
    environment = await created(
        acme.client, "/environments", {"name": "Bank", "slug": "bank", "project_id": project["id"]}
    )
    bank = await add_agent(acme, "Banker", environment_id=environment["id"])

    refused = [await parent.ask(agent) for agent in (bank["id"], "bank/Banker", globex.agent["id"])]
    unknown = await parent.ask(str(uuid4()))

    assert [answer.status_code for answer in [*refused, unknown]] == [404] * 4
    assert {answer.json()["detail"].partition(" that ")[2] for answer in [*refused, unknown]} == {
        "this execution may ask. There are: Assistant."
    }


async def test_nobody_asks_deeper_than_the_limit(acme: Tenant, api_url: str, parent: Asking) -> None:
    other = await add_agent(acme, "Other")
    below = await parent.child("Other")
    async with asking(acme, api_url, other, execution_id=below["execution_id"]) as second:
        lowest = await second.child("Lead")
        async with asking(acme, api_url, parent.agent, execution_id=lowest["execution_id"]) as third:
            response = await third.ask("Assistant")

    execution = await read(acme, lowest["execution_id"])
    assert (response.status_code, response.json()["code"]) == (409, "too_deep")
    assert (execution["depth"], execution["root_execution_id"]) == (2, parent.id)


async def test_an_execution_asks_no_more_often_than_the_limit(parent: Asking) -> None:
    for number in range(2):
        await parent.child("Assistant", key=str(number))

    response = await parent.ask("Assistant", key="another")

    assert (response.status_code, response.json()["code"]) == (409, "too_many_children")


async def test_what_one_execution_leads_to_has_a_limit(acme: Tenant, api_url: str, parent: Asking) -> None:
    other = await add_agent(acme, "Other")
    below = await parent.child("Other", key="one")
    await parent.child("Assistant", key="two")
    async with asking(acme, api_url, other, execution_id=below["execution_id"]) as second:
        await second.child("Assistant", key="one")

        response = await second.ask("Assistant", key="two")

    assert (response.status_code, response.json()["code"]) == (409, "too_many_children")


async def test_cancelling_ends_what_was_started_too_to_the_lowest(acme: Tenant, api_url: str, parent: Asking) -> None:
    other = await add_agent(acme, "Other")
    running = await parent.child("Other", key="one")
    waiting = await parent.child("Assistant", key="two")
    async with asking(acme, api_url, other, execution_id=running["execution_id"]) as second:
        lowest = await second.child("Assistant")

        await acme.client.delete(f"/executions/{parent.id}")
        renewal = await second.http.post(f"/worker/executions/{second.id}/lease", json={"fence": second.fence})
        refused = await second.ask("Assistant", key="late")

    assert renewal.json()["cancel_requested"] is True
    assert refused.json()["code"] == "execution_ended"
    assert (await read(acme, waiting["execution_id"]))["status"] == "cancelled"
    assert (await read(acme, lowest["execution_id"]))["status"] == "cancelled"


async def test_whatever_is_under_way_ends_with_the_one_that_wanted_it(acme: Tenant, parent: Asking) -> None:
    child = await parent.child("Assistant")

    await parent.finish()

    execution = await read(acme, child["execution_id"])
    assert execution["status"] == "cancelled"
    assert "that had started it has ended" in execution["error"]


async def test_a_lost_execution_takes_what_it_started_with_it(
    acme: Tenant, parent: Asking, test_database: TestDatabase
) -> None:
    child = await parent.child("Assistant")
    past = "lease_expires_at = now() - interval '1 minute', attend_at = now()"
    await test_database.change(f"UPDATE executions SET {past} WHERE id = %s", parent.id)

    async with asyncio.timeout(30):
        await events_of_stream(acme, child["execution_id"])

    assert (await read(acme, parent.id))["error_code"] == "worker_lost"
    assert (await read(acme, child["execution_id"]))["status"] == "cancelled"


async def test_who_no_longer_wants_the_answer_stops_the_child(acme: Tenant, parent: Asking) -> None:
    child = await parent.child("Assistant")
    path = f"/worker/executions/{parent.id}/children/{child['execution_id']}"

    first, again = await parent.http.delete(path), await parent.http.delete(path)

    assert (first.json()["status"], again.json()["status"]) == ("cancelled", "cancelled")
    assert (await read(acme, parent.id))["status"] == "running"


async def test_a_child_of_somebody_else_is_not_told_of(
    acme: Tenant, api_url: str, lead: dict[str, Any], parent: Asking
) -> None:
    child = await parent.child("Assistant")
    async with asking(acme, api_url, lead) as stranger:
        read_by_it = await stranger.answer(child["execution_id"])
        stopped = await stranger.http.delete(f"/worker/executions/{stranger.id}/children/{child['execution_id']}")
        with_its_token = await stranger.http.get(f"/worker/executions/{parent.id}/children/{child['execution_id']}")

    assert [read_by_it.status_code, stopped.status_code, with_its_token.status_code] == [404, 404, 404]


async def test_an_earlier_claim_starts_nothing(parent: Asking) -> None:
    response = await parent.ask("Assistant", fence=parent.fence - 1)

    assert (response.status_code, response.json()["code"]) == (409, "lease_lost")


async def revoke_key(tenant: Tenant, key: dict[str, Any]) -> None:
    await tenant.client.delete(f"/organizations/{tenant.organization['id']}/api-keys/{key['id']}")


async def expire_key(tenant: Tenant, key: dict[str, Any]) -> None:
    await tenant.client.post(
        f"/organizations/{tenant.organization['id']}/api-keys/{key['id']}/rotate", json={"overlap_seconds": 0}
    )


@pytest.fixture
async def key(acme: Tenant) -> dict[str, Any]:
    path = f"/organizations/{acme.organization['id']}/api-keys"
    return await created(acme.client, path, {"name": "ci", "role": "developer", "project_id": acme.project["id"]})


async def test_whose_key_was_revoked_starts_nothing_more(
    acme: Tenant, api_url: str, lead: dict[str, Any], key: dict[str, Any]
) -> None:
    async with client(api_url, key["key"]) as starter, asking(acme, api_url, lead, starter=starter) as execution:
        await execution.child("Assistant", key="one")
        await revoke_key(acme, key)

        refused = await execution.ask("Assistant", key="two")
        again = await execution.ask("Assistant", key="one")

    assert (refused.status_code, again.status_code) == (403, 200)
    assert "no longer has the permission executions:start" in refused.json()["detail"]


async def test_a_key_that_was_rotated_away_is_no_reason_to_stop(
    acme: Tenant, api_url: str, lead: dict[str, Any], key: dict[str, Any]
) -> None:
    async with client(api_url, key["key"]) as starter, asking(acme, api_url, lead, starter=starter) as execution:
        await expire_key(acme, key)

        response = await execution.ask("Assistant")

    assert response.status_code == 200


async def test_whose_service_account_is_disabled_or_lost_its_role_starts_nothing_more(
    acme: Tenant, api_url: str, lead: dict[str, Any]
) -> None:
    organization = f"/organizations/{acme.organization['id']}"
    grants = [{"role": "developer", "project_id": acme.project["id"]}]
    account = await created(acme.client, f"{organization}/service-accounts", {"name": "robot", "grants": grants})
    key = await created(acme.client, f"{organization}/api-keys", {"name": "r", "service_account_id": account["id"]})
    path = f"{organization}/service-accounts/{account['id']}"
    async with client(api_url, key["key"]) as starter, asking(acme, api_url, lead, starter=starter) as execution:
        await acme.client.patch(path, json={"grants": [{"role": "viewer"}]})
        as_viewer = await execution.ask("Assistant", key="one")
        await acme.client.patch(path, json={"grants": grants})
        as_developer = await execution.ask("Assistant", key="two")
        await acme.client.patch(path, json={"disabled": True})
        disabled = await execution.ask("Assistant", key="three")

    assert [as_viewer.status_code, as_developer.status_code, disabled.status_code] == [403, 200, 403]


async def test_a_removed_member_starts_nothing_more(
    acme: Tenant, lead: dict[str, Any], parent: Asking, test_database: TestDatabase
) -> None:
    member = await created(
        acme.client,
        f"/organizations/{acme.organization['id']}/members",
        {"name": "Ada", "email": "ada@example.com", "grants": [{"role": "developer"}]},
    )
    as_member = "requester_credential_id = NULL, requester_member_id = %s"
    await test_database.change(f"UPDATE executions SET {as_member} WHERE id = %s", member["id"], parent.id)
    before = await parent.ask("Assistant", key="one")
    await acme.client.delete(f"/organizations/{acme.organization['id']}/members/{member['id']}")

    after = await parent.ask("Assistant", key="two")

    assert (before.status_code, after.status_code) == (200, 403)


async def test_what_a_child_asks_is_asked_for_the_same_person(
    acme: Tenant, api_url: str, key: dict[str, Any], lead: dict[str, Any]
) -> None:
    other = await add_agent(acme, "Other")
    async with client(api_url, key["key"]) as starter, asking(acme, api_url, lead, starter=starter) as first:
        below = await first.child("Other")
        async with asking(acme, api_url, other, execution_id=below["execution_id"]) as second:
            await revoke_key(acme, key)

            response = await second.ask("Assistant")

    assert response.status_code == 403


async def test_the_budget_of_an_execution_bounds_what_it_and_those_below_it_use_together(
    acme: Tenant, api_url: str, lead: dict[str, Any]
) -> None:
    body = {"agent_id": lead["id"], "input": {"message": "Release it."}, "budget": {"tokens": 180}}
    chat = {
        "model": "scripted/script",
        "messages": [{"role": "user", "content": '[{"say": "hello"}]'}],
        "max_tokens": 80,
    }
    # Each call takes 15 tokens, and may need 161.
    execution = await created(acme.client, "/executions", body)
    async with asking(acme, api_url, lead, execution_id=execution["id"]) as parent:
        child = await parent.child("Assistant")
        async with asking(acme, api_url, acme.agent, execution_id=child["execution_id"]) as working:
            answers = [
                await token.post("/llm/openai/v1/chat/completions", json=chat)
                for token in (parent.http, working.http, working.http, parent.http)
            ]

    assert [answer.status_code for answer in answers] == [200, 200, 402, 402]

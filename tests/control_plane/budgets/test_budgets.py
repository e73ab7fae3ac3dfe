from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.tenants import Tenant, client, created

pytestmark = pytest.mark.integration


def places(tenant: Tenant) -> dict[str, dict[str, Any]]:
    """A body for each scope."""
    return {
        "organization": {"scope": "organization", "period": "month", "usd": 100.5},
        "project": {"scope": "project", "project_id": tenant.project["id"], "period": "day", "tokens": 1_000},
        "agent": {"scope": "agent", "agent_id": tenant.agent["id"], "period": "total", "tokens": 5, "usd": 0.1},
    }


async def used(tenant: Tenant, api_url: str, execution: dict[str, Any]) -> httpx.Response:
    """A call of a model that uses 18 tokens."""
    claim = await tenant.claim(execution["id"])
    asked = {"model": "scripted/script", "messages": [{"role": "user", "content": '[{"say":"hello there"}]'}]}
    async with client(api_url, claim["execution_token"]) as model:
        return await model.post("/llm/openai/v1/chat/completions", json=asked | {"max_tokens": 50})


async def narrow(tenant: Tenant, api_url: str, role: str, project_id: str | None) -> httpx.AsyncClient:
    """A client whose key has a role in one project."""
    body = {"name": f"{role} {project_id}", "role": role, "project_id": project_id}
    issued = await created(tenant.client, f"/organizations/{tenant.organization['id']}/api-keys", body)
    return client(api_url, issued["key"])


@pytest.mark.parametrize("scope", ["organization", "project", "agent"])
async def test_a_budget_comes_back_equal_from_the_place_that_location_names(acme: Tenant, scope: str) -> None:
    body = places(acme)[scope]

    answer = await acme.client.post("/budgets", json=body)
    response = await acme.client.get(answer.headers["Location"].removeprefix("/api/v1"))

    assert answer.status_code == 201
    assert response.json() == answer.json()
    assert response.json().items() >= body.items()
    assert response.headers["ETag"] == answer.headers["ETag"]


async def test_one_place_has_one_budget_of_each_period(acme: Tenant) -> None:
    await created(acme.client, "/budgets", places(acme)["project"])
    other = await acme.client.post("/budgets", json=places(acme)["project"] | {"period": "month"})

    again = await acme.client.post("/budgets", json=places(acme)["project"] | {"tokens": 7})

    assert (other.status_code, again.status_code) == (201, 409)
    assert again.json()["code"] == "already_exists"


@pytest.mark.parametrize("scope", ["project", "agent"])
async def test_a_budget_of_a_place_that_is_not_there_is_refused(acme: Tenant, scope: str) -> None:
    response = await acme.client.post("/budgets", json=places(acme)[scope] | {f"{scope}_id": str(uuid4())})

    assert response.status_code == 422
    assert [error["location"] for error in response.json()["errors"]] == [f"body.{scope}_id"]


async def test_a_budget_is_changed_and_deleted_by_who_knows_its_state(acme: Tenant) -> None:
    answer = await acme.client.post("/budgets", json=places(acme)["agent"])
    path, tag = f"/budgets/{answer.json()['id']}", {"If-Match": answer.headers["ETag"]}

    changed = await acme.client.patch(path, json={"tokens": None, "usd": 7}, headers=tag)
    too_late = await acme.client.patch(path, json={"usd": 9}, headers=tag)
    nothing_left = await acme.client.patch(path, json={"usd": None})
    moved = await acme.client.patch(path, json={"period": "day"})
    deleted = await acme.client.delete(path, headers={"If-Match": changed.headers["ETag"]})

    assert (changed.json()["tokens"], changed.json()["usd"]) == (None, 7)
    assert [too_late.status_code, nothing_left.status_code, moved.status_code] == [412, 422, 422]
    assert deleted.status_code == 204
    assert (await acme.client.get(path)).status_code == 404


async def test_budgets_are_found_by_what_they_limit(acme: Tenant) -> None:
    made = {scope: await created(acme.client, "/budgets", body) for scope, body in places(acme).items()}

    async def found(**wanted: str) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = (await acme.client.get("/budgets", params=wanted)).json()
        return listed

    assert await found() == [made["agent"], made["project"], made["organization"]]
    assert await found(project_id=acme.project["id"]) == [made["agent"], made["project"]]
    assert await found(agent_id=acme.agent["id"]) == [made["agent"]]
    assert await found(agent_id=str(uuid4())) == []


async def test_spending_tells_what_is_used_and_what_is_left(acme: Tenant, api_url: str) -> None:
    budget = await created(acme.client, "/budgets", places(acme)["project"])
    before = (await acme.client.get(f"/budgets/{budget['id']}/spending")).json()

    answer = await used(acme, api_url, await acme.start())

    after = (await acme.client.get(f"/budgets/{budget['id']}/spending")).json()
    assert answer.json()["usage"]["total_tokens"] == 18
    assert (before["spent_tokens"], before["left_tokens"], before["left_usd"]) == (0, 1_000, None)
    assert (after["spent_tokens"], after["reserved_tokens"], after["left_tokens"]) == (18, 0, 982)
    assert after["starts_at"] < after["resets_at"]


async def test_what_was_used_before_a_budget_was_made_counts_in_its_period(acme: Tenant, api_url: str) -> None:
    await used(acme, api_url, await acme.start())

    made = [await created(acme.client, "/budgets", body) for body in places(acme).values()]

    spent = [(await acme.client.get(f"/budgets/{budget['id']}/spending")).json()["spent_tokens"] for budget in made]
    assert spent == [18, 18, 18]


async def test_an_execution_is_given_a_budget_when_it_is_started(acme: Tenant, api_url: str) -> None:
    limits = {"tokens": 200, "usd": 1.5}
    body = {"agent_id": acme.agent["id"], "input": {"message": "hello"}, "budget": limits}

    execution = await created(acme.client, "/executions", body)

    [budget] = (await acme.client.get("/budgets", params={"execution_id": execution["id"]})).json()
    answer = await used(acme, api_url, execution)
    assert execution["budget"] == limits
    assert (await acme.client.get(f"/executions/{execution['id']}")).json()["budget"] == limits
    assert budget.items() >= ({"scope": "execution", "period": "total", "imposed": False} | limits).items()
    assert (await acme.client.get("/budgets")).json() == []
    assert answer.status_code == 200


async def test_a_prompt_may_come_with_a_budget_too(acme: Tenant, api_url: str) -> None:
    path = f"/agents/{acme.agent['id']}/execute"

    execution = await created(acme.client, path, {"prompt": "hello", "budget": {"tokens": 10}})

    answer = await used(acme, api_url, execution)
    assert execution["budget"] == {"tokens": 10, "usd": None}
    assert answer.status_code == 402
    assert answer.json()["error"]["code"] == "budget_exceeded"
    assert "budget of the execution" in answer.json()["error"]["message"]


async def test_who_has_a_role_in_a_project_sees_its_budgets_and_changes_none(acme: Tenant, api_url: str) -> None:
    made = {scope: await created(acme.client, "/budgets", body) for scope, body in places(acme).items()}

    async with await narrow(acme, api_url, "owner", acme.project["id"]) as inside:
        listed = await inside.get("/budgets")
        whole = await inside.get(f"/budgets/{made['organization']['id']}/spending")
        own = await inside.get(f"/budgets/{made['project']['id']}/spending")
        change = await inside.patch(f"/budgets/{made['project']['id']}", json={"tokens": 9})

    assert listed.json() == [made["agent"], made["project"]]
    assert [whole.status_code, own.status_code, change.status_code] == [404, 200, 403]


async def test_who_may_start_executions_in_a_project_may_limit_them(acme: Tenant, api_url: str) -> None:
    body = {"agent_id": acme.agent["id"], "input": {"message": "hello"}, "budget": {"tokens": 10}}

    async with await narrow(acme, api_url, "developer", acme.project["id"]) as inside:
        response = await inside.post("/executions", json=body)

    assert response.status_code == 201

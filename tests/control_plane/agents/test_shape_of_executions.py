"""What an agent says of its executions: variables, limits, the shape of answers."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.tenants import Tenant, client, created

pytestmark = pytest.mark.integration

SCHEMA = {"type": "object", "properties": {"now": {"type": "string"}}}


@pytest.fixture
async def watching(acme: Tenant) -> Tenant:
    """An agent with all of it."""
    body = {
        "name": "Watch",
        "environment_id": acme.environment["id"],
        "agent_type": "openai",
        "llm_config": {"provider": "scripted", "model": "assistant", "reasoning_effort": "low"},
        "instructions": "Watch {{ context.site }} in a {{ variables.tone }} way for {{ requested_by }}.",
        "variables": {"tone": "calm", "mood": None},
        "limits": {"max_turns": 3},
        "output_schema": SCHEMA,
    }
    return replace(acme, agent=await created(acme.client, "/agents", body))


async def start(tenant: Tenant, **asked: Any) -> httpx.Response:
    body = {"agent_id": tenant.agent["id"], "input": {"message": "Hello", **asked}}
    return await tenant.client.post("/executions", json=body)


async def test_what_was_sent_comes_back_and_is_a_part_of_the_version(watching: Tenant) -> None:
    path = f"/agents/{watching.agent['id']}"

    changed = await watching.client.patch(path, json={"limits": {"execution_seconds": 60}, "variables": {"tone": "x"}})

    assert watching.agent["limits"] == {"max_turns": 3}
    assert watching.agent["output_schema"] == SCHEMA
    assert watching.agent["variables"] == {"tone": "calm", "mood": None}
    assert changed.json()["limits"] == {"max_turns": 3, "execution_seconds": 60}
    assert changed.json()["variables"] == {"tone": "x"}
    assert (await watching.client.get(f"{path}/versions/1")).json()["limits"] == {"max_turns": 3}


async def test_the_plan_holds_the_instructions_with_their_values_and_the_limits(watching: Tenant) -> None:
    own = {"type": "object", "required": ["then"]}
    started = await start(watching, context={"site": "{{ x }}"}, variables={"tone": "brisk"}, output_schema=own)

    plan = (await watching.claim(started.json()["id"], with_plan=True))["plan"]

    assert plan["agent"]["instructions"].startswith("Watch {{ x }} in a brisk way for api_key:")
    assert plan["limits"] == {"max_turns": 3, "execution_seconds": 3600, "tool_call_seconds": 300}
    assert plan["output_schema"] == own
    assert plan["model"]["reasoning_effort"] == "low"


@pytest.mark.parametrize(
    ("asked", "location"),
    [
        ({}, "body.input.context"),
        ({"context": {"site": "here"}, "variables": {"colour": "red"}}, "body.input.variables"),
        ({"context": {"site": "here"}, "output_schema": {"type": "string"}}, "body.input.output_schema"),
    ],
)
async def test_an_execution_that_can_not_be_planned_is_refused(
    watching: Tenant, asked: dict[str, Any], location: str
) -> None:
    response = await start(watching, **asked)

    assert response.status_code == 422
    assert response.json()["errors"][0]["location"] == location


async def test_the_short_form_brings_the_same(watching: Tenant) -> None:
    path = f"/agents/{watching.agent['id']}/execute"

    refused = await watching.client.post(path, json={"prompt": "Hello"})
    started = await watching.client.post(
        path, json={"prompt": "Hello", "context": {"site": "here"}, "variables": {"tone": "brisk"}}
    )

    assert refused.json()["errors"][0]["location"] == "body.context"
    assert started.json()["input"]["variables"] == {"tone": "brisk"}


@pytest.mark.parametrize(
    ("changes", "location"),
    [
        ({"agent_type": "oracle"}, "body.agent_type"),
        ({"instructions": "{{ nothing }}"}, "body.instructions"),
        ({"variables": {"mood": None}}, "body.instructions"),
        ({"limits": {"max_turns": 0}}, "body.limits.max_turns"),
        ({"limits": {"patience": 1}}, "body.limits.patience"),
        ({"output_schema": {"type": "array"}}, "body.output_schema"),
    ],
)
async def test_an_agent_that_could_not_run_is_refused(watching: Tenant, changes: dict[str, Any], location: str) -> None:
    response = await watching.client.patch(f"/agents/{watching.agent['id']}", json=changes)

    assert response.status_code == 422
    assert response.json()["errors"][0]["location"] == location


async def test_an_unknown_agent_type_is_refused_with_the_known_ones(watching: Tenant) -> None:
    response = await watching.client.patch(f"/agents/{watching.agent['id']}", json={"agent_type": "oracle"})

    assert "Known are: agno, claude_code, openai" in response.json()["detail"]


async def test_an_answer_as_an_object_can_be_read(watching: Tenant) -> None:
    started = (await start(watching, context={"site": "here"})).json()
    claim = await watching.claim(started["id"])
    body = {"fence": claim["fence"], "status": "completed", "response": "{}", "output": {"now": "n\x00on"}}
    async with client(str(watching.client.base_url).removesuffix("/api/v1/"), claim["execution_token"]) as worker:
        (await worker.post(f"/worker/executions/{started['id']}/finish", json=body)).raise_for_status()

    ended = (await watching.client.get(f"/executions/{started['id']}")).json()
    events = (await watching.client.get(f"/executions/{started['id']}/events")).json()

    assert ended["output"] == events[-1]["data"]["output"] == {"now": "n\ufffdon"}

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from control_plane.contract import Read
from tests.conftest import TestDatabase
from tests.orchestrator import FakeOrchestrator
from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration


def literal_body(tenant: Tenant) -> dict[str, Any]:
    """The body that the REST contract promises to accept, word for word."""
    return {
        "agent_id": tenant.agent["id"],
        "workflow_type": "agent_chat",
        "input": {
            "message": "Deploy the frontend app to staging",
            "context": {"environment": "staging", "requester": "user@example.com"},
        },
    }


async def test_the_literal_body_of_the_contract_starts_an_execution(acme: Tenant) -> None:
    body = literal_body(acme)

    response = await acme.client.post("/executions", json=body)

    assert response.status_code == 201
    assert response.json().items() >= body.items()
    assert response.json()["status"] == "pending"


async def test_what_was_sent_comes_back_equal_from_the_place_that_location_names(acme: Tenant) -> None:
    body = literal_body(acme)
    answer = await acme.client.post("/executions", json=body)

    response = await acme.client.get(answer.headers["Location"].removeprefix("/api/v1"))

    assert response.status_code == 200
    assert response.json().items() >= body.items()


@pytest.mark.parametrize(
    "execution_input",
    [
        {"message": "no context"},
        {"message": " spaces and\nlines\t", "context": {}},
        {"message": "Grüße 日本 🚀 \u2028 \x85", "context": {"ключ": ["значение", None, True, 1.5, {"deep": []}]}},
        {"message": "numbers", "context": {"large": 12345678901234567890123, "small": 1e-7, "negative": -0.5}},
    ],
)
async def test_an_input_comes_back_equal(acme: Tenant, execution_input: dict[str, Any]) -> None:
    execution = await created(acme.client, "/executions", literal_body(acme) | {"input": execution_input})

    response = await acme.client.get(f"/executions/{execution['id']}")

    assert response.json()["input"] == execution_input


async def test_an_execution_belongs_to_the_organization_project_and_environment_of_its_agent(acme: Tenant) -> None:
    execution = await acme.start()

    assert execution["organization_id"] == acme.organization["id"]
    assert execution["project_id"] == acme.project["id"]
    assert execution["environment_id"] == acme.environment["id"]
    assert execution["agent_version"] == 1
    assert execution["requested_by"] == "api_key:tests"


async def test_computed_fields_are_never_null(acme: Tenant) -> None:
    execution = await acme.start()

    computed = [execution[name] for name in (*Read.model_fields, "status")]

    assert None not in computed


async def test_the_plan_is_frozen_when_the_execution_is_created(acme: Tenant, test_database: TestDatabase) -> None:
    execution = await acme.start("What time is it?", team="night shift")

    with psycopg.connect(test_database.superuser_url) as connection:
        row = connection.execute("SELECT plan FROM executions WHERE id = %s", [execution["id"]]).fetchone()

    assert row is not None
    plan = row[0]
    assert plan["input"] == {"message": "What time is it?", "context": {"team": "night shift"}, "history": []}
    assert plan["model"]["name"] == "scripted/script"
    assert [policy["name"] for policy in plan["policies"]] == ["no_destructive_tools"]
    assert "package" in plan["policies"][0]["module"]


async def test_the_model_of_the_environment_answers_for_every_agent(acme: Tenant, test_database: TestDatabase) -> None:
    body = {
        "name": "Other model",
        "environment_id": acme.environment["id"],
        "llm_config": {"provider": "anthropic", "model": "claude", "temperature": 0.7},
    }
    agent = await created(acme.client, "/agents", body)
    execution = await created(acme.client, "/executions", literal_body(acme) | {"agent_id": agent["id"]})

    with psycopg.connect(test_database.superuser_url) as connection:
        row = connection.execute("SELECT plan->'model' FROM executions WHERE id = %s", [execution["id"]]).fetchone()

    model = {"name": "scripted/script", "temperature": 0.7, "max_tokens": None, "reasoning_effort": None}
    assert row == (model,)


@pytest.mark.parametrize(
    ("change", "location"),
    [
        ({"agent_id": str(uuid4())}, "body.agent_id"),
        ({"agent_id": "not-a-uuid"}, "body.agent_id"),
        ({"workflow_type": "agent_dance"}, "body.workflow_type"),
        ({"priority": 1}, "body.priority"),
        ({"input": {"message": ""}}, "body.input.message"),
        ({"input": {"message": "x", "contxt": {}}}, "body.input.contxt"),
        ({"input": {}}, "body.input.message"),
    ],
)
async def test_what_can_not_be_used_is_refused_with_its_place(
    acme: Tenant, change: dict[str, Any], location: str
) -> None:
    response = await acme.client.post("/executions", json=literal_body(acme) | change)

    assert response.status_code == 422
    assert [error["location"] for error in response.json()["errors"]] == [location]


async def test_an_agent_of_another_organization_is_refused_as_if_it_did_not_exist(
    acme: Tenant, globex: Tenant, orchestrator: FakeOrchestrator
) -> None:
    response = await acme.client.post("/executions", json=literal_body(globex))

    assert response.status_code == 422
    assert response.json()["errors"][0]["location"] == "body.agent_id"
    assert orchestrator.started == []


async def test_executions_are_found_by_agent_environment_and_status(acme: Tenant) -> None:
    execution = await acme.start()
    await acme.claim(execution["id"])
    wanted = {"agent_id": acme.agent["id"], "environment_id": acme.environment["id"], "status": "running"}

    running = await acme.client.get("/executions", params=wanted)
    completed = await acme.client.get("/executions", params=wanted | {"status": "completed"})

    assert [UUID(found["id"]) for found in running.json()] == [UUID(execution["id"])]
    assert completed.json() == []

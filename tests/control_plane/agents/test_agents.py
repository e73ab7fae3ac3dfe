from typing import Any
from uuid import uuid4

import pytest

from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration


def literal_body(tenant: Tenant) -> dict[str, Any]:
    """The body that the REST contract promises to accept, word for word."""
    return {
        "name": "DevOps Assistant",
        "description": "Helps with Kubernetes and CI/CD tasks",
        "environment_id": tenant.environment["id"],
        "agent_type": "agno",
        "llm_config": {"provider": "anthropic", "model": "claude-3-5-sonnet-20241022", "temperature": 0.7},
        "toolsets": ["kubernetes", "github", "slack"],
        "policies": ["require_approval_for_prod"],
    }


async def test_the_literal_body_of_the_contract_creates_an_agent(acme: Tenant) -> None:
    body = literal_body(acme)

    response = await acme.client.post("/agents", json=body)

    assert response.status_code == 201
    assert response.json().items() >= body.items()
    assert response.json()["version"] == 1


async def test_what_was_sent_comes_back_equal_from_the_place_that_location_names(acme: Tenant) -> None:
    body = literal_body(acme)
    answer = await acme.client.post("/agents", json=body)

    response = await acme.client.get(answer.headers["Location"].removeprefix("/api/v1"))

    assert response.json() == answer.json()
    assert response.json().items() >= body.items()


async def test_an_explicit_null_in_the_model_settings_comes_back_as_it_was_sent(acme: Tenant) -> None:
    llm_config = {"provider": "scripted", "model": "script", "max_tokens": None}

    agent = await created(acme.client, "/agents", literal_body(acme) | {"llm_config": llm_config})

    assert agent["llm_config"] == llm_config


async def test_an_unknown_field_is_refused_and_named(acme: Tenant) -> None:
    response = await acme.client.post("/agents", json=literal_body(acme) | {"modell": "gpt"})

    assert response.status_code == 422
    assert [error["location"] for error in response.json()["errors"]] == ["body.modell"]


async def test_an_unknown_field_of_the_model_settings_is_refused_and_named(acme: Tenant) -> None:
    llm_config = {"provider": "a", "model": "b", "base_url": "http://elsewhere.test"}

    response = await acme.client.post("/agents", json=literal_body(acme) | {"llm_config": llm_config})

    assert response.status_code == 422
    assert [error["location"] for error in response.json()["errors"]] == ["body.llm_config.base_url"]


@pytest.mark.parametrize("field", ["toolsets", "policies"])
async def test_a_name_that_is_listed_twice_is_refused(acme: Tenant, field: str) -> None:
    body = literal_body(acme) | {field: ["read_only", "require_approval_for_prod", "read_only"]}

    response = await acme.client.post("/agents", json=body)

    assert response.status_code == 422
    [error] = response.json()["errors"]
    assert error["location"] == f"body.{field}"
    assert "must name each once, but read_only comes again" in error["message"]


async def test_an_unknown_agent_type_is_refused_with_the_list_of_known_ones(acme: Tenant) -> None:
    response = await acme.client.post("/agents", json=literal_body(acme) | {"agent_type": "abacus"})

    assert response.status_code == 422
    assert response.json()["errors"][0]["location"] == "body.agent_type"
    assert "'abacus'" in response.json()["detail"]
    assert "agno" in response.json()["detail"]


async def test_an_unknown_policy_is_refused_by_name(acme: Tenant) -> None:
    response = await acme.client.post("/agents", json=literal_body(acme) | {"policies": ["no_such_policy"]})

    assert response.status_code == 422
    assert response.json()["errors"][0]["location"] == "body.policies"
    assert "no_such_policy" in response.json()["detail"]


async def test_an_environment_that_does_not_exist_is_refused(acme: Tenant) -> None:
    response = await acme.client.post("/agents", json=literal_body(acme) | {"environment_id": str(uuid4())})

    assert response.status_code == 422
    assert response.json()["errors"][0]["location"] == "body.environment_id"


async def test_an_environment_of_another_organization_is_refused_as_if_it_did_not_exist(
    acme: Tenant, globex: Tenant
) -> None:
    response = await acme.client.post("/agents", json=literal_body(globex))

    assert response.status_code == 422
    assert response.json()["errors"][0]["location"] == "body.environment_id"


async def test_a_second_agent_of_the_same_name_in_the_same_environment_is_refused(acme: Tenant) -> None:
    await created(acme.client, "/agents", literal_body(acme))

    response = await acme.client.post("/agents", json=literal_body(acme))

    assert response.status_code == 409
    assert response.json()["code"] == "already_exists"


async def test_agents_are_found_by_name(acme: Tenant) -> None:
    agent = await created(acme.client, "/agents", literal_body(acme))

    response = await acme.client.get("/agents", params={"name": "DevOps Assistant"})

    assert response.json() == [agent]


async def test_agents_are_found_by_environment(acme: Tenant) -> None:
    elsewhere = {"environment_id": str(uuid4())}

    response = await acme.client.get("/agents", params=elsewhere)

    assert response.json() == []

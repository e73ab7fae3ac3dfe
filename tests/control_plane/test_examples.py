"""Swagger's "try it out" fills in the examples of the description: with an id of one's own, they work."""

from typing import Any

import httpx
import pytest

from tests.tenants import Tenant

pytestmark = pytest.mark.integration


async def example(api_url: str, schema: str) -> dict[str, Any]:
    """The body that the served document shows for this schema."""
    async with httpx.AsyncClient(base_url=api_url, trust_env=False) as browser:
        document = (await browser.get("/openapi.json")).json()
    [shown] = document["components"]["schemas"][schema]["examples"]
    return shown


async def test_the_example_of_an_agent_creates_one(acme: Tenant, api_url: str) -> None:
    shown = await example(api_url, "AgentCreate")

    response = await acme.client.post("/agents", json=shown | {"environment_id": acme.environment["id"]})

    assert response.status_code == 201
    assert response.json().items() >= (shown | {"environment_id": acme.environment["id"]}).items()


async def test_the_example_of_an_execution_starts_one(acme: Tenant, api_url: str) -> None:
    shown = await example(api_url, "ExecutionCreate")

    response = await acme.client.post("/executions", json=shown | {"agent_id": acme.agent["id"]})

    assert response.status_code == 201
    assert response.json()["input"] == shown["input"]


async def test_the_example_of_a_policy_is_one_and_decides(acme: Tenant, api_url: str) -> None:
    stored = await acme.client.post("/policies", json=await example(api_url, "PolicyCreate"))
    question = {
        "policies": [stored.json()["name"]],
        "input": {"environment": {"id": stored.json()["id"], "name": "production"}},
    }

    response = await acme.client.post("/policies/evaluate", json=question)

    assert stored.status_code == 201
    assert response.json()["outcome"] == "deny"

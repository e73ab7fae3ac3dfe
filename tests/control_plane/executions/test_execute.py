"""`POST /agents/{id}/execute`, the short form of `POST /executions`."""

from typing import Any
from uuid import uuid4

import pytest

from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration


def path(tenant: Tenant) -> str:
    return f"/agents/{tenant.agent['id']}/execute"


async def test_a_prompt_starts_an_execution_of_the_agent(acme: Tenant) -> None:
    response = await acme.client.post(path(acme), json={"prompt": "What time is it?"})

    assert response.status_code == 201
    assert response.json()["agent_id"] == acme.agent["id"]
    assert response.json()["status"] == "pending"
    assert response.json()["input"] == {"message": "What time is it?"}
    assert response.headers["Location"] == f"/api/v1/executions/{response.json()['id']}"


async def test_the_context_goes_along(acme: Tenant) -> None:
    execution = await created(acme.client, path(acme), {"prompt": "Deploy", "context": {"environment": "staging"}})

    assert execution["input"] == {"message": "Deploy", "context": {"environment": "staging"}}


@pytest.mark.parametrize(
    ("body", "location"),
    [
        ({}, "body.prompt"),
        ({"prompt": ""}, "body.prompt"),
        ({"prompt": "x", "context": []}, "body.context"),
        ({"prompt": "x", "message": "x"}, "body.message"),
        ({"prompt": "\x00"}, "body.prompt"),
    ],
)
async def test_what_can_not_be_used_is_refused_with_its_place(
    acme: Tenant, body: dict[str, Any], location: str
) -> None:
    response = await acme.client.post(path(acme), json=body)

    assert response.status_code == 422
    assert [error["location"] for error in response.json()["errors"]] == [location]


async def test_an_agent_that_is_not_there_is_not_found(acme: Tenant) -> None:
    response = await acme.client.post(f"/agents/{uuid4()}/execute", json={"prompt": "hello"})

    assert response.status_code == 404

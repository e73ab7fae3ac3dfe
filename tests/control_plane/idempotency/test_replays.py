import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from control_plane.auth.credentials import Hasher
from control_plane.auth.principals import Kind, Principal
from control_plane.idempotency import Asked
from control_plane.settings import Settings
from tests.orchestrator import FakeOrchestrator
from tests.serving import api_server
from tests.tenants import Tenant, client

pytestmark = pytest.mark.integration

PROJECT = {"name": "Second", "slug": "second"}
KEY = {"Idempotency-Key": "4f1c7e0a-order-1"}


async def slugs(tenant: Tenant) -> list[str]:
    projects = (await tenant.client.get("/projects")).json()
    return [project["slug"] for project in projects]


async def test_the_same_request_with_the_same_key_gets_the_same_answer_and_has_no_second_effect(acme: Tenant) -> None:
    first = await acme.client.post("/projects", json=PROJECT, headers=KEY)

    second = await acme.client.post("/projects", json=PROJECT, headers=KEY)

    assert (second.status_code, second.content) == (201, first.content)
    assert second.headers["Location"] == first.headers["Location"]
    assert second.headers["Content-Type"] == first.headers["Content-Type"]
    assert await slugs(acme) == ["second", "shop"]


async def test_only_what_was_answered_before_is_marked_as_replayed(acme: Tenant) -> None:
    first = await acme.client.post("/projects", json=PROJECT, headers=KEY)
    second = await acme.client.post("/projects", json=PROJECT, headers=KEY)

    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.headers["X-Request-Id"] != first.headers["X-Request-Id"]


async def test_without_a_key_the_same_request_is_carried_out_twice(acme: Tenant) -> None:
    first, second = await acme.start("hello"), await acme.start("hello")

    assert first["id"] != second["id"]


async def test_a_replay_changes_nothing_and_so_is_not_in_the_audit_log(acme: Tenant) -> None:
    first = await acme.client.post("/projects", json=PROJECT, headers=KEY)
    await acme.client.post("/projects", json=PROJECT, headers=KEY)

    log = await acme.client.get(
        f"/organizations/{acme.organization['id']}/audit-log", params={"resource_id": first.json()["id"]}
    )

    assert [(entry["action"], entry["status"]) for entry in log.json()] == [("projects:write", 201)]


async def test_an_execution_that_is_started_again_with_its_key_is_dispatched_once(
    acme: Tenant, orchestrator: FakeOrchestrator
) -> None:
    body = {"agent_id": acme.agent["id"], "input": {"message": "hello"}}
    answers = [await acme.client.post("/executions", json=body, headers=KEY) for _ in range(3)]

    await asyncio.wait_for(orchestrator.asked_to_start.wait(), 10)

    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len((await acme.client.get("/executions")).json()) == 1
    assert [str(run.execution_id) for run in orchestrator.started] == [answers[0].json()["id"]]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/projects", {"name": "Third", "slug": "third"}),
        ("/projects", dict(reversed(PROJECT.items()))),
        ("/environments", {"name": "Second", "slug": "second", "project_id": "{project}"}),
    ],
)
async def test_the_same_key_with_another_request_is_a_conflict_without_an_effect(
    acme: Tenant, path: str, body: dict[str, Any]
) -> None:
    await acme.client.post("/projects", json=PROJECT, headers=KEY)
    other = {name: value.format(project=acme.project["id"]) for name, value in body.items()}

    response = await acme.client.post(path, json=other, headers=KEY)

    assert response.status_code == 409
    assert response.json()["code"] == "idempotency_key_reused"
    assert await slugs(acme) == ["second", "shop"]
    assert len((await acme.client.get("/environments")).json()) == 1


async def test_another_organization_may_use_the_same_key(acme: Tenant, globex: Tenant) -> None:
    first = await acme.client.post("/projects", json=PROJECT, headers=KEY)

    second = await globex.client.post("/projects", json=PROJECT, headers=KEY)

    assert second.status_code == 201
    assert "Idempotent-Replayed" not in second.headers
    assert first.json()["id"] != second.json()["id"]


async def test_another_credential_of_the_organization_is_not_told_the_answer(acme: Tenant, api_url: str) -> None:
    key = {"name": "other", "role": "owner"}
    issued = await acme.client.post(f"/organizations/{acme.organization['id']}/api-keys", json=key)
    await acme.client.post("/projects", json=PROJECT, headers=KEY)

    async with client(api_url, issued.json()["key"]) as other:
        response = await other.post("/projects", json=PROJECT, headers=KEY)

    assert response.json()["code"] == "already_exists"


def test_members_of_one_name_are_not_told_each_others_answers() -> None:
    hasher = Hasher("a-secret-key-of-the-tests-0123456789")
    ada, other_ada = (Principal(Kind.MEMBER, "Ada", organization_id=uuid4(), member_id=uuid4()) for _ in range(2))

    asked, asked_again = (Asked.of("key", who, b"request", hasher=hasher) for who in (ada, other_ada))

    assert asked.key_hash != asked_again.key_hash
    assert asked.cipher_key != asked_again.cipher_key


async def test_a_credential_without_the_permission_is_refused_with_any_key(acme: Tenant) -> None:
    await acme.client.post("/projects", json=PROJECT, headers=KEY)

    response = await acme.worker.post("/projects", json=PROJECT, headers=KEY)

    assert response.status_code == 403


@pytest.mark.parametrize("body", [{"name": "Shop again", "slug": "shop"}, {"name": "No slug"}])
async def test_a_request_that_failed_leaves_its_key_unused(acme: Tenant, body: dict[str, Any]) -> None:
    failed = await acme.client.post("/projects", json=body, headers=KEY)

    response = await acme.client.post("/projects", json=PROJECT, headers=KEY)

    assert failed.status_code in {409, 422}
    assert response.status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_that_is_empty_or_too_long_is_refused(acme: Tenant, key: str) -> None:
    response = await acme.client.post("/projects", json=PROJECT, headers={"Idempotency-Key": key})

    assert response.status_code == 422
    assert [error["location"] for error in response.json()["errors"]] == ["header.Idempotency-Key"]


async def test_any_bytes_are_a_key(acme: Tenant) -> None:
    odd = [(b"idempotency-key", bytes(range(0xA1, 0x100)))]
    first = await acme.client.post("/projects", json=PROJECT, headers=odd)

    second = await acme.client.post("/projects", json=PROJECT, headers=odd)

    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.content == first.content


async def test_the_operator_who_repeats_the_creation_of_an_organization_gets_the_same_one(
    operator: httpx.AsyncClient,
) -> None:
    body = {"name": "Initech", "slug": "initech"}
    first = await operator.post("/organizations", json=body, headers=KEY)

    second = await operator.post("/organizations", json=body, headers=KEY)

    assert first.status_code == second.status_code == 201
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.content == first.content


async def test_an_organization_whose_creation_failed_leaves_its_key_unused(
    operator: httpx.AsyncClient, acme: Tenant
) -> None:
    taken = await operator.post("/organizations", json={"name": "Acme", "slug": "acme"}, headers=KEY)

    response = await operator.post("/organizations", json={"name": "Acme 2", "slug": "acme2"}, headers=KEY)

    assert taken.status_code == 409
    assert response.status_code == 201


@pytest.fixture
async def elsewhere(settings: Settings, acme: Tenant) -> AsyncIterator[httpx.AsyncClient]:
    """The same credential at a second API process."""
    async with api_server(settings, FakeOrchestrator()) as url, client(url, acme.api_key) as second:
        yield second


async def test_of_twins_that_arrive_at_once_at_two_processes_one_creates_and_the_others_are_answered_alike(
    acme: Tenant, elsewhere: httpx.AsyncClient
) -> None:
    body = {"agent_id": acme.agent["id"], "input": {"message": "hello"}}

    answers = await asyncio.gather(
        *(acme.client.post("/executions", json=body, headers=KEY) for _ in range(20)),
        *(elsewhere.post("/executions", json=body, headers=KEY) for _ in range(20)),
    )

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 39
    assert len((await acme.client.get("/executions")).json()) == 1

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from control_plane.environments import service as environments
from tests.tenants import Tenant

pytestmark = pytest.mark.integration

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "request_id", "errors"}


def is_problem(response: httpx.Response, status: int, code: str) -> bool:
    """Whether this is the problem, the whole problem and nothing but the problem."""
    body = response.json()
    assert response.headers["Content-Type"] == "application/problem+json"
    assert body.keys() == MEMBERS
    assert body["request_id"] == response.headers["X-Request-Id"]
    assert body["type"] == f"urn:agent-control-plane:problem:{body['code']}"
    return (response.status_code, body["status"], body["code"]) == (status, status, code)


async def test_a_missing_credential(api_url: str) -> None:
    async with httpx.AsyncClient(base_url=api_url, trust_env=False) as anonymous:
        response = await anonymous.get("/api/v1/agents")

    assert is_problem(response, 401, "unauthenticated")


async def test_a_missing_permission(acme: Tenant) -> None:
    response = await acme.worker.get("/agents")

    assert is_problem(response, 403, "forbidden")


async def test_an_unknown_route(acme: Tenant) -> None:
    response = await acme.client.get("/no-such-thing")

    assert is_problem(response, 404, "not_found")
    assert "/api/docs" in response.json()["detail"]


async def test_an_id_that_does_not_exist(acme: Tenant) -> None:
    identity = uuid4()

    response = await acme.client.get(f"/agents/{identity}")

    assert is_problem(response, 404, "not_found")
    assert str(identity) in response.json()["detail"]
    assert response.json()["instance"] == f"/api/v1/agents/{identity}"


async def test_a_method_that_is_not_offered(acme: Tenant) -> None:
    response = await acme.client.put("/agents")

    assert is_problem(response, 405, "method_not_allowed")
    assert response.headers["Allow"]


async def test_a_name_that_is_taken(acme: Tenant) -> None:
    response = await acme.client.post("/projects", json={"name": "Shop", "slug": "shop"})

    assert is_problem(response, 409, "already_exists")


async def test_a_value_that_can_not_be_used(acme: Tenant) -> None:
    response = await acme.client.post("/projects", json={"name": "Shop", "slug": "Not A Slug"})

    assert is_problem(response, 422, "invalid")
    assert [error["location"] for error in response.json()["errors"]] == ["body.slug"]


@pytest.mark.parametrize("body", [b"{", b"{'name': 1}", b'{"name": }', b"[1, 2", b"\xff\xfe", b'{"a": 1} x'])
async def test_a_body_that_is_not_json(acme: Tenant, body: bytes) -> None:
    response = await acme.client.post("/projects", content=body, headers={"Content-Type": "application/json"})

    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("body", ["[]", '"x"', "1", "null", ""])
async def test_json_that_is_not_an_object(acme: Tenant, body: str) -> None:
    response = await acme.client.post("/projects", content=body, headers={"Content-Type": "application/json"})

    assert is_problem(response, 422, "invalid")


@pytest.mark.parametrize("depth", [200, 300, 5_000, 100_000])
async def test_json_of_any_depth_is_no_fault_of_the_server(acme: Tenant, depth: int) -> None:
    context = '{"a":' * depth + "1" + "}" * depth
    body = f'{{"agent_id": "{acme.agent["id"]}", "input": {{"message": "x", "context": {context}}}}}'

    response = await acme.client.post("/executions", content=body, headers={"Content-Type": "application/json"})

    assert response.status_code < 500


@pytest.mark.parametrize("character", ["\x00", "\ud800"])
@pytest.mark.parametrize(
    "place",
    [
        {"name": "X"},
        {"slug": "X"},
        {"X": "unknown"},
    ],
)
async def test_characters_that_can_not_be_stored(acme: Tenant, character: str, place: dict[str, str]) -> None:
    body = json.dumps({"name": "n", "slug": "s"} | place).replace("X", json.dumps(character)[1:-1])

    response = await acme.client.post("/projects", content=body, headers={"Content-Type": "application/json"})

    assert is_problem(response, 422, "invalid")


@pytest.mark.parametrize(
    "context",
    [
        '{"a": "X"}',
        '{"X": 1}',
        '{"a": [{"b": "X"}]}',
        '{"a": {"X": null}}',
    ],
)
@pytest.mark.parametrize("character", ["\x00", "\ud800"])
async def test_characters_that_can_not_be_stored_in_a_context(acme: Tenant, context: str, character: str) -> None:
    body = f'{{"agent_id": "{acme.agent["id"]}", "input": {{"message": "x", "context": {context}}}}}'

    response = await acme.client.post(
        "/executions",
        content=body.replace("X", json.dumps(character)[1:-1]),
        headers={"Content-Type": "application/json"},
    )

    assert is_problem(response, 422, "invalid")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_numbers_that_json_does_not_have(acme: Tenant, number: str) -> None:
    body = f'{{"agent_id": "{acme.agent["id"]}", "input": {{"message": "x", "context": {{"n": [{number}]}}}}}}'

    response = await acme.client.post("/executions", content=body, headers={"Content-Type": "application/json"})

    assert is_problem(response, 422, "invalid")


@pytest.mark.parametrize(
    "path", ["/agents?name=%00", "/policies?name=%00", "/projects?slug=%00", "/environments?slug=%00"]
)
async def test_characters_that_can_not_be_searched_for(acme: Tenant, path: str) -> None:
    response = await acme.client.get(path)

    assert is_problem(response, 422, "invalid")


async def test_a_request_id_that_is_harmless_is_kept(acme: Tenant) -> None:
    response = await acme.client.get("/no-such-thing", headers={"X-Request-Id": "build-42.a_b"})

    assert response.headers["X-Request-Id"] == response.json()["request_id"] == "build-42.a_b"


@pytest.mark.parametrize("offered", ["", "x" * 65, "two words", "<script>", "a;b", "ü"])
async def test_a_request_id_that_could_do_harm_is_replaced(acme: Tenant, offered: str) -> None:
    response = await acme.client.get("/agents", headers=[(b"x-request-id", offered.encode("latin-1"))])

    assert response.headers["X-Request-Id"] != offered
    assert len(response.headers["X-Request-Id"]) == 32


async def test_every_answer_has_a_request_id_of_its_own(acme: Tenant) -> None:
    first, second = await acme.client.get("/agents"), await acme.client.get("/agents")

    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]


async def test_a_bug_is_a_bare_500_that_the_log_explains(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("SELECT secret FROM vault")

    monkeypatch.setattr(environments, "get", broken)

    response = await acme.client.get(f"/environments/{acme.environment['id']}")

    assert is_problem(response, 500, "internal_error")
    assert "vault" not in response.text
    assert "RuntimeError" not in response.text
    assert response.headers["X-Request-Id"] in caplog.text
    assert "SELECT secret FROM vault" in caplog.text

"""405: for every path that is spelled out beside one with a parameter, which would otherwise take its requests."""

import pytest

from control_plane.app import create_app
from control_plane.settings import Settings
from tests.orchestrator import FakeOrchestrator
from tests.tenants import Tenant

pytestmark = pytest.mark.integration

METHODS = {"get", "post", "put", "patch", "delete"}


def _not_offered() -> list[tuple[str, str]]:
    settings = Settings.model_validate({"database_url": "postgresql://nobody@localhost/x", "secret_key": "x" * 32})
    paths = create_app(settings, orchestrator=FakeOrchestrator()).openapi()["paths"]
    above = {path.rpartition("/")[0] for path in paths if path.endswith("}")}
    spelled_out = [path for path in paths if path.rpartition("/")[0] in above and not path.endswith("}")]
    return [
        (method.upper(), path.removeprefix("/api/v1"))
        for path in spelled_out
        for method in sorted(METHODS - paths[path].keys())
        if "{" not in path
    ]


NOT_OFFERED = _not_offered()


def test_there_are_such_paths() -> None:
    assert ("GET", "/policies/evaluate") in NOT_OFFERED
    assert ("DELETE", "/policies/evaluate") in NOT_OFFERED
    assert ("POST", "/policies/bundled") in NOT_OFFERED
    assert len(NOT_OFFERED) >= 12


async def test_a_path_that_is_spelled_out_is_no_id(acme: Tenant) -> None:
    answers = [await acme.client.request(method, path) for method, path in NOT_OFFERED]

    assert [(answer.request.method, answer.url.path) for answer in answers if answer.status_code != 405] == []
    assert {answer.json()["code"] for answer in answers} == {"method_not_allowed"}
    assert {answer.headers["Allow"] for answer in answers} == {"GET", "POST"}


async def test_a_body_does_not_change_that(acme: Tenant) -> None:
    response = await acme.client.patch("/policies/evaluate", json={"description": "x"})

    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/agents", "GET, POST"),
        ("PUT", "/agents/x", "DELETE, GET, PATCH"),
        ("POST", "/policies/x", "DELETE, GET, PATCH, PUT"),
        ("PATCH", "/executions/x", "DELETE, GET"),
        ("HEAD", "/agents", "GET, POST"),
        ("OPTIONS", "/agents", "GET, POST"),
    ],
)
async def test_a_refused_method_is_told_all_that_the_path_offers(
    acme: Tenant, method: str, path: str, allowed: str
) -> None:
    response = await acme.client.request(method, path)

    assert (response.status_code, response.headers["Allow"]) == (405, allowed)


async def test_the_reason_names_method_path_and_what_there_is_instead(acme: Tenant) -> None:
    response = await acme.client.put("/agents")

    assert response.json()["detail"].startswith("PUT isn't offered at /api/v1/agents, only GET, POST.")


async def test_an_id_that_is_none_stays_a_value_that_can_not_be_used(acme: Tenant) -> None:
    response = await acme.client.get("/policies/evaluated")

    assert response.status_code == 422

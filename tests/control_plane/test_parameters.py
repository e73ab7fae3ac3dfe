from typing import Any
from urllib.parse import quote

import pytest

from control_plane.app import create_app
from control_plane.settings import Settings
from tests.orchestrator import FakeOrchestrator
from tests.tenants import Tenant

pytestmark = pytest.mark.integration


def _refusing() -> list[tuple[str, str]]:
    """Every operation of ours; the dialects of others are let alone."""
    settings = Settings.model_validate({"database_url": "postgresql://nobody@localhost/x", "secret_key": "x" * 32})
    paths: dict[str, Any] = create_app(settings, orchestrator=FakeOrchestrator()).openapi()["paths"]
    return [
        (method.upper(), path.removeprefix("/api/v1"))
        for path, methods in paths.items()
        for method in methods
        if path.startswith("/api/v1") and not path.startswith("/api/v1/llm/")
    ]


REFUSING = _refusing()


async def test_every_operation_refuses_a_query_parameter_that_it_does_not_know(acme: Tenant) -> None:
    answers = [await acme.client.request(method, path, params={"nom": "x"}) for method, path in REFUSING]

    assert len(answers) > 80
    assert [str(answer.url) for answer in answers if answer.status_code != 422] == []
    assert {error["location"] for answer in answers for error in answer.json()["errors"]} == {"query.nom"}


async def test_the_refusal_lists_the_parameters_there_are(acme: Tenant) -> None:
    response = await acme.client.get("/agents", params={"nam": "x", "environment": "y", "limit": "5"})

    assert response.json()["detail"] == (
        "The query has parameters that are not known here: `nam`, `environment`."
        " Known are cursor, environment_id, limit, name."
    )


async def test_where_there_are_none_the_refusal_says_so(acme: Tenant) -> None:
    response = await acme.client.get("/toolsets", params={"name": "files"})

    assert response.json()["detail"].endswith("There are none here.")


@pytest.mark.parametrize("query", ["limit=5", "limit=5&name=x", "name=", "", "limit=5&limit=6"])
async def test_known_parameters_pass(acme: Tenant, query: str) -> None:
    response = await acme.client.get(f"/agents?{query}")

    assert response.status_code == 200


@pytest.mark.parametrize(
    "query", ["=x", "LIMIT=5", "limit[]=5", "%00=1", "%ff=1", quote("ü") + "=1", "n" * 5_000 + "=1"]
)
async def test_names_of_any_kind_are_refused_cleanly(acme: Tenant, query: str) -> None:
    response = await acme.client.get(f"/agents?{query}")

    assert response.status_code == 422
    assert len(response.content) < 2_000


async def test_a_great_many_names_make_no_great_answer(acme: Tenant) -> None:
    query = "&".join(f"n{number}=1" for number in range(2_000))

    response = await acme.client.get(f"/agents?{query}")

    assert response.status_code == 422
    assert len(response.json()["errors"]) == 10


async def test_a_filter_that_is_misspelt_deletes_nothing(acme: Tenant) -> None:
    path = f"/projects/{acme.project['id']}"

    response = await acme.client.delete(path, params={"dry_run": "true"})

    assert response.status_code == 422
    assert (await acme.client.get(path)).status_code == 200

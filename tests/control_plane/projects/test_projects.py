import pytest

from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration


async def test_a_project_comes_back_equal_from_the_place_that_location_names(acme: Tenant) -> None:
    body = {"name": "Påyments", "slug": "payments"}
    answer = await acme.client.post("/projects", json=body)

    response = await acme.client.get(answer.headers["Location"].removeprefix("/api/v1"))

    assert answer.status_code == 201
    assert response.json() == answer.json()
    assert response.json().items() >= body.items()


async def test_two_organizations_may_use_the_same_slug(acme: Tenant, globex: Tenant) -> None:
    assert acme.project["slug"] == globex.project["slug"]
    assert acme.project["id"] != globex.project["id"]


async def test_a_project_is_found_by_its_slug(acme: Tenant) -> None:
    project = await created(acme.client, "/projects", {"name": "Payments", "slug": "payments"})

    response = await acme.client.get("/projects", params={"slug": "payments"})

    assert response.json() == [project]


@pytest.mark.parametrize("slug", ["", "-a", "a-", "A", "a_b", "a" * 41, "a\n"])
async def test_a_slug_that_is_none_is_refused(acme: Tenant, slug: str) -> None:
    response = await acme.client.post("/projects", json={"name": "X", "slug": slug})

    assert response.status_code == 422


async def test_an_id_that_is_none_is_refused(acme: Tenant) -> None:
    response = await acme.client.get("/projects/not-a-uuid")

    assert response.status_code == 422
    assert [error["location"] for error in response.json()["errors"]] == ["path.project_id"]

import httpx
import pytest

from tests.tenants import Tenant

pytestmark = pytest.mark.integration


async def test_the_operator_creates_an_organization(operator: httpx.AsyncClient) -> None:
    response = await operator.post("/organizations", json={"name": "Acme", "slug": "acme"})

    assert response.status_code == 201
    assert response.json().items() >= {"name": "Acme", "slug": "acme"}.items()
    assert response.headers["Location"] == f"/api/v1/organizations/{response.json()['id']}"


async def test_nobody_else_creates_an_organization(acme: Tenant) -> None:
    response = await acme.client.post("/organizations", json={"name": "Mine", "slug": "mine"})

    assert response.status_code == 403


async def test_a_slug_is_given_once(operator: httpx.AsyncClient, acme: Tenant) -> None:
    response = await operator.post("/organizations", json={"name": "Acme again", "slug": "acme"})

    assert response.status_code == 409
    assert "acme" in response.json()["detail"]


@pytest.mark.parametrize("slug", ["", "a", "A1", "with-hyphen", "1st", "a" * 31, "ä1", "a\n", "../etc"])
async def test_a_slug_that_could_be_misread_in_the_name_of_a_work_pool_is_refused(
    operator: httpx.AsyncClient, slug: str
) -> None:
    response = await operator.post("/organizations", json={"name": "Acme", "slug": slug})

    assert response.status_code == 422


@pytest.mark.parametrize("name", ["", " ", " Acme", "Acme\n", "a" * 201])
async def test_a_name_that_would_not_come_back_equal_is_refused(operator: httpx.AsyncClient, name: str) -> None:
    response = await operator.post("/organizations", json={"name": name, "slug": "acme"})

    assert response.status_code == 422


async def test_people_see_their_own_organization(acme: Tenant, globex: Tenant) -> None:
    response = await acme.client.get("/organizations")

    assert response.json() == [acme.organization]


async def test_the_operator_sees_all_organizations_newest_first(
    operator: httpx.AsyncClient, acme: Tenant, globex: Tenant
) -> None:
    response = await operator.get("/organizations")

    assert response.json() == [globex.organization, acme.organization]


@pytest.mark.parametrize(("slug", "found"), [("acme", ["acme"]), ("globex", ["globex"]), ("initech", [])])
async def test_the_operator_finds_an_organization_by_its_slug(
    operator: httpx.AsyncClient, acme: Tenant, globex: Tenant, slug: str, found: list[str]
) -> None:
    response = await operator.get("/organizations", params={"slug": slug})

    assert [organization["slug"] for organization in response.json()] == found


async def test_people_find_no_other_organization_by_its_slug(acme: Tenant, globex: Tenant) -> None:
    own = await acme.client.get("/organizations", params={"slug": "acme"})
    other = await acme.client.get("/organizations", params={"slug": "globex"})

    assert own.json() == [acme.organization]
    assert other.json() == []

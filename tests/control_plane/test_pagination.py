import base64

import pytest

from tests.conftest import TestDatabase
from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration

AN_ID = "5f6f3c63-6a3c-4c57-9a57-0b2f6f3f8f10"


async def walked(tenant: Tenant, path: str) -> list[list[str]]:
    """The ids of all pages of a list, in order, by following `Link` to its end."""
    pages = []
    response = await tenant.client.get(path)
    while True:
        assert response.status_code == 200, response.text
        pages.append([found["id"] for found in response.json()])
        if "next" not in response.links:
            return pages
        response = await tenant.client.get(response.links["next"]["url"])


async def several_projects(tenant: Tenant, count: int) -> list[str]:
    """New projects' ids, newest first, down to the one that the tenant had."""
    ids = [
        (await created(tenant.client, "/projects", {"name": "P", "slug": f"p{number}"}))["id"]
        for number in range(count)
    ]
    return [*reversed(ids), tenant.project["id"]]


async def test_a_list_is_a_bare_array_newest_first(acme: Tenant) -> None:
    ids = await several_projects(acme, 3)

    response = await acme.client.get("/projects")

    assert [found["id"] for found in response.json()] == ids
    assert "Link" not in response.headers


@pytest.mark.parametrize(("limit", "sizes"), [(1, [1] * 8), (3, [3, 3, 2]), (4, [4, 4]), (7, [7, 1]), (8, [8])])
async def test_walking_the_pages_meets_everything_once_and_in_order(acme: Tenant, limit: int, sizes: list[int]) -> None:
    ids = await several_projects(acme, 7)

    pages = await walked(acme, f"/projects?limit={limit}")

    assert [len(page) for page in pages] == sizes
    assert [identity for page in pages for identity in page] == ids


async def test_rows_of_the_same_moment_are_met_once_each(acme: Tenant, test_database: TestDatabase) -> None:
    ids = await several_projects(acme, 7)
    await test_database.change("UPDATE projects SET created_at = '2026-01-01T00:00:00Z'")

    pages = await walked(acme, "/projects?limit=2")

    met = [identity for page in pages for identity in page]
    assert met == sorted(ids, reverse=True)


async def test_what_is_created_while_walking_disturbs_nothing(acme: Tenant) -> None:
    ids = await several_projects(acme, 4)
    first = await acme.client.get("/projects?limit=2")
    await created(acme.client, "/projects", {"name": "Late", "slug": "late"})

    second = await acme.client.get(first.links["next"]["url"])

    assert [found["id"] for found in second.json()] == ids[2:4]


async def test_a_link_keeps_the_filters(acme: Tenant) -> None:
    executions = [(await acme.start(str(number)))["id"] for number in range(3)]
    await acme.client.delete(f"/executions/{executions[1]}")

    pages = await walked(acme, f"/executions?limit=1&status=cancelled&agent_id={acme.agent['id']}")

    assert pages == [[executions[1]]]


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "%00",
        "!!!!",
        "ÿÿÿ",
        base64.urlsafe_b64encode(b"no separator").decode(),
        base64.urlsafe_b64encode(b"2026-01-01|not-a-uuid").decode(),
        base64.urlsafe_b64encode(f"yesterday|{AN_ID}".encode()).decode(),
        base64.urlsafe_b64encode(f"0001-01-01T00:00:00+23:59|{AN_ID}".encode()).decode(),
        base64.urlsafe_b64encode(f"2026-01-01T00:00:00Z|{AN_ID}|more".encode()).decode(),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        "A" * 201,
    ],
)
async def test_a_cursor_that_is_none_of_ours_is_refused(acme: Tenant, cursor: str) -> None:
    response = await acme.client.get("/projects", params={"cursor": cursor})

    assert response.status_code == 422
    assert [error["location"] for error in response.json()["errors"]] == ["query.cursor"]


@pytest.mark.parametrize("path", ["/environments", "/agents", "/policies", "/executions"])
async def test_every_list_understands_cursors(acme: Tenant, path: str) -> None:
    response = await acme.client.get(path, params={"cursor": "x"})

    assert response.status_code == 422


@pytest.mark.parametrize("limit", ["0", "-1", "201", "x", "1.5", ""])
async def test_a_limit_out_of_bounds_is_refused(acme: Tenant, limit: str) -> None:
    response = await acme.client.get("/projects", params={"limit": limit})

    assert response.status_code == 422
    assert [error["location"] for error in response.json()["errors"]] == ["query.limit"]


async def test_the_cursor_of_another_organization_shows_nothing_of_it(acme: Tenant, globex: Tenant) -> None:
    ids = await several_projects(acme, 1)
    await several_projects(globex, 2)
    theirs = (await globex.client.get("/projects?limit=1")).links["next"]["url"]

    response = await acme.client.get(theirs)

    assert {found["id"] for found in response.json()} <= set(ids)

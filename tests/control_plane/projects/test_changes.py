from typing import Any

import pytest

from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration


async def test_a_change_is_merged_and_stays(acme: Tenant) -> None:
    path = f"/projects/{acme.project['id']}"

    response = await acme.client.patch(path, json={"name": "Store"})

    assert response.json() == acme.project | {"name": "Store", "updated_at": response.json()["updated_at"]}
    assert response.json() == (await acme.client.get(path)).json()


async def test_a_change_to_nothing_leaves_everything_as_it_is(acme: Tenant) -> None:
    response = await acme.client.patch(f"/projects/{acme.project['id']}", json={})

    assert response.json() == acme.project


@pytest.mark.parametrize("body", [{"name": None}, {"name": ""}, {"nickname": "x"}, {"slug": "store"}, {"slug": None}])
async def test_what_can_not_be_changed_is_refused(acme: Tenant, body: dict[str, Any]) -> None:
    response = await acme.client.patch(f"/projects/{acme.project['id']}", json=body)

    assert response.status_code == 422
    assert [error["location"] for error in response.json()["errors"]] == [f"body.{next(iter(body))}"]


async def test_whoever_changes_a_slug_is_told_why_it_stays(acme: Tenant) -> None:
    response = await acme.client.patch(f"/projects/{acme.project['id']}", json={"slug": "store"})

    assert "never changes" in response.json()["errors"][0]["message"]


async def test_a_project_with_environments_is_not_deleted(acme: Tenant) -> None:
    path = f"/projects/{acme.project['id']}"

    response = await acme.client.delete(path)

    assert response.status_code == 409
    assert "environments" in response.json()["detail"]
    assert (await acme.client.get(path)).status_code == 200


async def test_an_empty_project_is_deleted_and_its_slug_is_free_again(acme: Tenant) -> None:
    body = {"name": "Payments", "slug": "payments"}
    project = await created(acme.client, "/projects", body)

    response = await acme.client.delete(f"/projects/{project['id']}")

    assert response.status_code == 204
    assert (await acme.client.get(f"/projects/{project['id']}")).status_code == 404
    assert (await created(acme.client, "/projects", body))["id"] != project["id"]

from typing import Any

import pytest

from tests.tenants import Tenant

pytestmark = pytest.mark.integration


async def project_and_tag(acme: Tenant) -> tuple[str, str]:
    response = await acme.client.get(f"/projects/{acme.project['id']}")
    return f"/projects/{acme.project['id']}", response.headers["ETag"]


async def test_what_is_created_carries_the_tag_that_it_has_when_it_is_read(acme: Tenant) -> None:
    answer = await acme.client.post("/projects", json={"name": "Payments", "slug": "payments"})

    response = await acme.client.get(f"/projects/{answer.json()['id']}")

    assert answer.headers["ETag"] == response.headers["ETag"]
    assert response.headers["ETag"].startswith('"')


async def test_two_resources_have_different_tags(acme: Tenant) -> None:
    project = await acme.client.get(f"/projects/{acme.project['id']}")
    organization = await acme.client.get(f"/organizations/{acme.organization['id']}")

    assert project.headers["ETag"] != organization.headers["ETag"]


@pytest.mark.parametrize("sent", ["{tag}", "*", '"another", {tag}'])
async def test_a_change_to_the_state_that_the_caller_knows_is_made_and_gives_a_new_tag(acme: Tenant, sent: str) -> None:
    path, tag = await project_and_tag(acme)

    response = await acme.client.patch(path, json={"name": "New"}, headers={"If-Match": sent.format(tag=tag)})

    assert response.json()["name"] == "New"
    assert response.headers["ETag"] == (await acme.client.get(path)).headers["ETag"] != tag


@pytest.mark.parametrize("sent", ['"another"', "W/{tag}", "", "nonsense"])
@pytest.mark.parametrize(("method", "body"), [("PATCH", {"name": "New"}), ("DELETE", None)])
async def test_a_change_to_a_state_that_the_caller_does_not_know_is_refused(
    acme: Tenant, method: str, body: Any, sent: str
) -> None:
    path, tag = await project_and_tag(acme)

    response = await acme.client.request(method, path, json=body, headers={"If-Match": sent.format(tag=tag)})

    assert response.status_code == 412
    assert response.json()["code"] == "precondition_failed"
    assert (await acme.client.get(path)).headers["ETag"] == tag


async def test_of_two_who_know_the_same_state_one_is_refused(acme: Tenant) -> None:
    path, tag = await project_and_tag(acme)

    first = await acme.client.patch(path, json={"name": "First"}, headers={"If-Match": tag})
    second = await acme.client.patch(path, json={"name": "Second"}, headers={"If-Match": tag})

    assert (first.status_code, second.status_code) == (200, 412)


async def test_a_change_that_changes_nothing_keeps_the_tag(acme: Tenant) -> None:
    path, tag = await project_and_tag(acme)

    response = await acme.client.patch(path, json={"name": acme.project["name"]})

    assert response.headers["ETag"] == tag


@pytest.mark.parametrize("sent", ["{tag}", "W/{tag}", '"another", {tag}', "*"])
async def test_a_state_that_the_caller_has_already_is_not_sent_again(acme: Tenant, sent: str) -> None:
    path, tag = await project_and_tag(acme)

    response = await acme.client.get(path, headers={"If-None-Match": sent.format(tag=tag)})

    assert response.status_code == 304
    assert response.content == b""
    assert response.headers["ETag"] == tag


async def test_another_state_than_the_caller_has_is_sent(acme: Tenant) -> None:
    path, _ = await project_and_tag(acme)

    response = await acme.client.get(path, headers={"If-None-Match": '"another"'})

    assert response.json() == acme.project

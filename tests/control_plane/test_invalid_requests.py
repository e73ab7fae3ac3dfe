from typing import Any

import pytest

from tests.tenants import Tenant

pytestmark = pytest.mark.integration

NOWHERE = "0b0f6f0e-7b52-4d0c-9f0e-3c2b7d1a9e55"


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("POST", "/projects", [], "The body must be an object."),
        ("POST", "/projects", None, "The body is missing."),
        ("GET", "/agents/x", None, "`agent_id` must be a UUID, such as 0b0f6f0e-7b52-4d0c-9f0e-3c2b7d1a9e55."),
        ("GET", "/agents?limit=many", None, "`limit` must be a whole number."),
        ("GET", "/agents?limit=201", None, "`limit` must be 200 or less."),
        ("POST", "/policies/evaluate", {}, "Needs at least one policy in `policies`, or a module in `modules`."),
        ("PATCH", f"/projects/{NOWHERE}", {"slug": "s"}, "`slug` never changes, since other things are named by it or"),
        ("PATCH", f"/projects/{NOWHERE}", {"nom": "s"}, "`nom` is not known here; known are name."),
        ("PATCH", f"/worker-queues/{NOWHERE}", {"paused": 1}, "`paused` must be true or false."),
    ],
)
async def test_the_whole_body_and_other_places_are_named_too(
    acme: Tenant, method: str, path: str, body: Any, message: str
) -> None:
    response = await acme.client.request(method, path, json=body)

    assert response.status_code == 422
    assert response.json()["errors"][0]["message"].startswith(message)


@pytest.mark.parametrize("status", ["asleep", ""])
async def test_one_of_several_words_is_asked_for_with_all_of_them(acme: Tenant, status: str) -> None:
    response = await acme.client.get("/executions", params={"status": status})

    [error] = response.json()["errors"]
    assert error["message"].startswith("`status` must be 'pending', 'scheduled', 'running'")


async def test_every_wrong_place_is_named(acme: Tenant) -> None:
    response = await acme.client.post("/projects", json={"name": 1, "slug": "A B", "colour": "red"})

    assert [error["location"] for error in response.json()["errors"]] == ["body.name", "body.slug", "body.colour"]
    assert response.json()["detail"] == "Mend these and send the request again: body.name, body.slug, body.colour."


async def test_an_unknown_field_in_a_list_of_objects_is_told_which_there_are(acme: Tenant) -> None:
    body = {"name": "ci", "grants": [{"role": "viewer"}, {"rolle": "viewer"}]}

    response = await acme.client.post(f"/organizations/{acme.organization['id']}/service-accounts", json=body)

    assert {error["location"]: error["message"] for error in response.json()["errors"]} == {
        "body.grants.1.role": "`grants.1.role` is missing.",
        "body.grants.1.rolle": "`grants.1.rolle` is not known here; known are role, project_id.",
    }


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "json"},
        {"Content-Type": "application/jsonp"},
    ],
)
async def test_a_body_that_is_not_declared_as_json_is_refused_with_the_header_to_send(
    acme: Tenant, headers: dict[str, str]
) -> None:
    response = await acme.client.post("/projects", content=b'{"name": "Shop", "slug": "new"}', headers=headers)

    assert response.status_code == 415
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "unsupported_media_type"
    assert "`Content-Type: application/json`" in response.json()["detail"]


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/foo+json"]
)
async def test_json_may_be_declared_in_other_ways(acme: Tenant, content_type: str) -> None:
    body = b'{"name": "Shop", "slug": "new"}'

    response = await acme.client.post("/projects", content=body, headers={"Content-Type": content_type})

    assert response.status_code == 201


async def test_a_worker_reads_the_same_when_its_body_is_not_declared(acme: Tenant) -> None:
    response = await acme.worker.post(f"/worker/executions/{NOWHERE}/claim", content=b'{"worker": "w"}')

    assert response.status_code == 415


async def test_a_request_without_a_body_needs_no_content_type(acme: Tenant) -> None:
    response = await acme.client.delete(f"/projects/{NOWHERE}", headers={"Content-Type": "text/plain"})

    assert response.status_code == 404


async def test_who_may_not_do_it_learns_that_before_what_is_wrong_with_the_body(acme: Tenant) -> None:
    response = await acme.worker.post("/projects", content=b"x", headers={"Content-Type": "text/plain"})

    assert response.status_code == 403

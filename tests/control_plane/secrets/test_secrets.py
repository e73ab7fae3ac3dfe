from typing import Any
from uuid import uuid4

import pytest

from control_plane.settings import Settings
from tests.orchestrator import FakeOrchestrator
from tests.serving import api_server
from tests.tenants import Tenant, create_tenant, created

pytestmark = pytest.mark.integration

CANARY = "canary-5f1c9a"
MOST = 65_536


async def test_a_secret_comes_back_without_its_value_from_the_place_that_location_names(acme: Tenant) -> None:
    answer = await acme.client.post("/secrets", json={"name": "openweather", "value": CANARY})

    response = await acme.client.get(answer.headers["Location"].removeprefix("/api/v1"))

    assert answer.status_code == 201
    assert response.json() == answer.json()
    assert response.json().items() >= {"name": "openweather", "version": 1, "environment_id": None}.items()
    assert CANARY not in answer.text + response.text


async def test_secrets_are_listed_without_their_values_newest_first(acme: Tenant) -> None:
    first = await created(acme.client, "/secrets", {"name": "first", "value": CANARY})
    second = await created(acme.client, "/secrets", {"name": "second", "value": CANARY})

    response = await acme.client.get("/secrets")

    assert response.json() == [second, first]
    assert CANARY not in response.text


async def test_replacing_a_value_counts_versions_and_tells_no_value(acme: Tenant) -> None:
    before = await created(acme.client, "/secrets", {"name": "openweather", "value": "before"})

    response = await acme.client.put("/secrets/openweather", json={"value": CANARY})

    assert response.status_code == 200
    assert response.json() == before | {"version": 2, "updated_at": response.json()["updated_at"]}
    assert response.json()["updated_at"] > before["updated_at"]
    assert (await acme.client.get("/secrets/openweather")).json() == response.json()
    assert CANARY not in response.text


async def test_a_replacement_by_somebody_who_missed_a_change_is_refused(acme: Tenant) -> None:
    answer = await acme.client.post("/secrets", json={"name": "openweather", "value": "first"})
    await acme.client.put("/secrets/openweather", json={"value": "second"})

    response = await acme.client.put(
        "/secrets/openweather", json={"value": "third"}, headers={"If-Match": answer.headers["ETag"]}
    )

    assert response.status_code == 412
    assert (await acme.client.get("/secrets/openweather")).json()["version"] == 2


async def test_a_deleted_secret_is_gone_and_its_name_free(acme: Tenant) -> None:
    before = await created(acme.client, "/secrets", {"name": "openweather", "value": "before"})

    response = await acme.client.delete("/secrets/openweather")

    assert response.status_code == 204
    assert (await acme.client.get("/secrets/openweather")).status_code == 404
    after = await created(acme.client, "/secrets", {"name": "openweather", "value": "after"})
    assert after["id"] != before["id"]


async def test_a_name_is_taken_once_in_an_organization(acme: Tenant, globex: Tenant) -> None:
    await created(acme.client, "/secrets", {"name": "openweather", "value": "x"})
    await created(globex.client, "/secrets", {"name": "openweather", "value": "x"})

    response = await acme.client.post("/secrets", json={"name": "openweather", "value": CANARY})

    assert response.status_code == 409
    assert response.json()["code"] == "already_exists"
    assert "PUT /api/v1/secrets/openweather" in response.json()["detail"]


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("PUT", {"value": "x"}), ("DELETE", None)])
async def test_a_secret_of_another_organization_does_not_exist(
    acme: Tenant, globex: Tenant, method: str, body: dict[str, Any] | None
) -> None:
    await created(globex.client, "/secrets", {"name": "openweather", "value": "x"})

    response = await acme.client.request(method, "/secrets/openweather", json=body)

    assert response.status_code == 404
    assert (await globex.client.get("/secrets/openweather")).json()["version"] == 1


async def test_a_secret_can_be_kept_to_an_environment_and_found_by_it(acme: Tenant) -> None:
    await created(acme.client, "/secrets", {"name": "everywhere", "value": "x"})
    narrow = await created(
        acme.client, "/secrets", {"name": "narrow", "value": "x", "environment_id": acme.environment["id"]}
    )

    response = await acme.client.get("/secrets", params={"environment_id": acme.environment["id"]})

    assert response.json() == [narrow]
    assert narrow["environment_id"] == acme.environment["id"]


async def test_an_environment_that_does_not_exist_is_refused(acme: Tenant, globex: Tenant) -> None:
    body = {"name": "narrow", "value": CANARY, "environment_id": globex.environment["id"]}

    foreign = await acme.client.post("/secrets", json=body)
    unknown = await acme.client.post("/secrets", json=body | {"environment_id": str(uuid4())})

    assert (foreign.status_code, unknown.status_code) == (422, 422)
    assert [error["location"] for error in foreign.json()["errors"]] == ["body.environment_id"]


@pytest.mark.parametrize("value", ["x", "x" * MOST, "é" * (MOST // 2), "line\nline\0"])
async def test_a_value_of_up_to_64_kib_is_taken(acme: Tenant, value: str) -> None:
    response = await acme.client.post("/secrets", json={"name": "large", "value": value})

    assert response.status_code == 201


@pytest.mark.parametrize(
    "value",
    ["", CANARY + "x" * MOST, CANARY + "é" * (MOST // 2), [CANARY], {CANARY: CANARY}, None, 5],
    ids=["empty", "too long", "too long in bytes", "list", "object", "null", "number"],
)
async def test_another_value_is_refused_without_repeating_it(acme: Tenant, value: object) -> None:
    response = await acme.client.post("/secrets", json={"name": "large", "value": value})

    assert response.status_code == 422
    assert {error["location"] for error in response.json()["errors"]} == {"body.value"}
    assert CANARY not in response.text


@pytest.mark.parametrize("name", ["", ".hidden", "a b", "a/b", "é", "x" * 101, "a\n"])
async def test_a_name_that_no_path_could_carry_is_refused(acme: Tenant, name: str) -> None:
    response = await acme.client.post("/secrets", json={"name": name, "value": CANARY})

    assert response.status_code == 422
    assert CANARY not in response.text


async def test_a_body_that_is_not_json_is_not_repeated(acme: Tenant) -> None:
    response = await acme.client.post(
        "/secrets", content=f'{{"name": "x", "value": "{CANARY}"', headers={"Content-Type": "application/json"}
    )

    assert response.status_code == 400
    assert CANARY not in response.text


@pytest.mark.parametrize(("method", "path"), [("POST", "/secrets"), ("PUT", "/secrets/openweather")])
async def test_without_an_encryption_key_it_is_said_what_to_set(
    settings: Settings, orchestrator: FakeOrchestrator, method: str, path: str
) -> None:
    bare = settings.model_copy(update={"encryption_keys": None})
    body = {"POST": {"name": "openweather", "value": CANARY}, "PUT": {"value": CANARY}}[method]
    async with api_server(bare, orchestrator) as url, create_tenant(url, "acme") as tenant:
        response = await tenant.client.request(method, path, json=body)

        listed = await tenant.client.get("/secrets")

    assert response.status_code == 503
    assert response.json()["code"] == "encryption_not_configured"
    assert "CONTROL_PLANE_ENCRYPTION_KEYS" in response.json()["detail"]
    assert "openssl rand -base64 32" in response.json()["detail"]
    assert (listed.status_code, listed.json()) == (200, [])

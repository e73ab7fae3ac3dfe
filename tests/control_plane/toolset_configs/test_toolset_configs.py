from typing import Any
from uuid import uuid4

import pytest

from control_plane.toolset_configs.schemas import MOST_SETTINGS_BYTES
from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration

BENCH = {"toolset": "bench", "settings": {"grip": "loose"}, "secrets": {"key": "house"}}


@pytest.fixture
async def house(acme: Tenant) -> dict[str, Any]:
    """A secret of the organization."""
    return await created(acme.client, "/secrets", {"name": "house", "value": "open sesame"})


def places(tenant: Tenant) -> list[dict[str, Any]]:
    """From the widest to the narrowest."""
    return [{}, {"project_id": tenant.project["id"]}, {"environment_id": tenant.environment["id"]}]


@pytest.mark.parametrize("place", range(3))
async def test_a_configuration_comes_back_equal(acme: Tenant, house: dict[str, Any], place: int) -> None:
    body = BENCH | places(acme)[place]

    answer = await acme.client.post("/toolset-configs", json=body)
    response = await acme.client.get(answer.headers["Location"].removeprefix("/api/v1"))

    assert answer.status_code == 201
    assert response.json() == answer.json()
    assert response.json().items() >= body.items()
    assert response.json().items() >= {"enabled": True, "note": None}.items()
    assert response.headers["ETag"] == answer.headers["ETag"]


async def test_a_toolset_is_configured_in_a_place_once(acme: Tenant) -> None:
    body = {"toolset": "bench"} | places(acme)[2]
    await created(acme.client, "/toolset-configs", body)

    response = await acme.client.post("/toolset-configs", json=body)

    assert (response.status_code, response.json()["code"]) == (409, "already_exists")


@pytest.mark.parametrize(
    ("change", "location", "told"),
    [
        ({"settings": {"grip": "canary"}}, "body.settings", "The settings of the toolset bench are wrong. grip: "),
        ({"settings": {"root": "/"}}, "body.settings", "root: Extra inputs"),
        ({"settings": {"a": "x" * MOST_SETTINGS_BYTES}}, "body.settings", "bytes as JSON"),
        ({"secrets": {"other": "house"}}, "body.secrets", "asks for no secret other; with these settings it asks for"),
        ({"secrets": {"key": "garden"}}, "body.secrets", "There is no secret garden"),
        ({"environment_id": str(uuid4())}, "body.environment_id", "There is no environment"),
        ({"project_id": str(uuid4())}, "body.project_id", "There is no project"),
        ({"project_id": str(uuid4()), "environment_id": str(uuid4())}, "body", "not both"),
        ({"toolset": "Bench"}, "body.toolset", ""),
    ],
)
async def test_what_can_not_be_configured_is_refused(
    acme: Tenant, house: dict[str, Any], change: dict[str, Any], location: str, told: str
) -> None:
    response = await acme.client.post("/toolset-configs", json=BENCH | change)

    assert response.status_code == 422
    assert response.json()["errors"][0]["location"] == location
    assert told in str(response.json())
    assert "canary" not in response.text


async def test_a_secret_for_another_environment_is_refused(acme: Tenant) -> None:
    other = {"name": "Other", "slug": "other", "project_id": acme.project["id"]}
    environment = await created(acme.client, "/environments", other)
    await created(acme.client, "/secrets", {"name": "house", "value": "x", "environment_id": environment["id"]})

    response = await acme.client.post("/toolset-configs", json=BENCH | places(acme)[2])

    assert response.status_code == 422
    assert "for another environment alone" in response.json()["detail"]


async def test_a_toolset_that_the_server_does_not_have_is_configured_with_a_note(
    acme: Tenant, house: dict[str, Any]
) -> None:
    body = {"toolset": "forge", "settings": {"heat": 900}, "secrets": {"fuel": "house"}}

    made = await created(acme.client, "/toolset-configs", body)

    assert "This server has no working toolset forge" in made["note"]


async def test_changes_are_merged_and_checked(acme: Tenant, house: dict[str, Any]) -> None:
    answer = await acme.client.post("/toolset-configs", json=BENCH)
    path = answer.headers["Location"].removeprefix("/api/v1")

    wrong = await acme.client.patch(path, json={"settings": {"grip": "none"}})
    changed = await acme.client.patch(path, json={"secrets": {}}, headers={"If-Match": answer.headers["ETag"]})
    stale = await acme.client.patch(path, json={"enabled": False}, headers={"If-Match": answer.headers["ETag"]})
    moved = await acme.client.patch(path, json={"environment_id": acme.environment["id"]})

    assert (wrong.status_code, stale.status_code, moved.status_code) == (422, 412, 422)
    assert changed.json().items() >= {"settings": {"grip": "loose"}, "secrets": {}, "enabled": True}.items()


async def test_lists_are_filtered_by_place_and_toolset(acme: Tenant) -> None:
    [whole, project, environment] = [
        await created(acme.client, "/toolset-configs", {"toolset": "bench"} | place) for place in places(acme)
    ]
    forge = await created(acme.client, "/toolset-configs", {"toolset": "forge"})

    found = {
        query: (await acme.client.get(f"/toolset-configs?{query}")).json()
        for query in (
            "",
            "toolset=bench",
            f"project_id={acme.project['id']}",
            f"environment_id={acme.environment['id']}",
        )
    }

    assert [*found.values()] == [
        [forge, environment, project, whole],
        [environment, project, whole],
        [environment, project],
        [environment],
    ]


async def test_a_configuration_ends(acme: Tenant) -> None:
    made = await created(acme.client, "/toolset-configs", {"toolset": "bench"})

    response = await acme.client.delete(f"/toolset-configs/{made['id']}")

    assert response.status_code == 204
    assert (await acme.client.get(f"/toolset-configs/{made['id']}")).status_code == 404


async def test_another_tenant_sees_and_changes_nothing(acme: Tenant, globex: Tenant) -> None:
    made = await created(acme.client, "/toolset-configs", {"toolset": "bench"})
    path = f"/toolset-configs/{made['id']}"

    answers = [
        await globex.client.get(path),
        await globex.client.patch(path, json={"enabled": False}),
        await globex.client.delete(path),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert (await globex.client.get("/toolset-configs")).json() == []
    assert (await acme.client.get(path)).json() == made


async def test_changes_stand_in_the_audit_log_and_in_the_export(acme: Tenant) -> None:
    made = await created(acme.client, "/toolset-configs", {"toolset": "bench"})
    organization = f"/organizations/{acme.organization['id']}"

    entries = (await acme.client.get(f"{organization}/audit-log?resource_id={made['id']}")).json()
    exported = (await acme.client.get(f"{organization}/export")).text

    assert [(entry["action"], entry["status"]) for entry in entries] == [("toolset_configs:write", 201)]
    assert made["id"] in exported

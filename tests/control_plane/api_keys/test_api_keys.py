from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from control_plane.settings import Settings
from tests.clock import five_seconds_later
from tests.conftest import TestDatabase
from tests.orchestrator import FakeOrchestrator
from tests.serving import api_server
from tests.tenants import Tenant, client, created

pytestmark = pytest.mark.integration


@pytest.fixture
def keys(acme: Tenant) -> str:
    """The path of the organization's API keys."""
    return f"/organizations/{acme.organization['id']}/api-keys"


async def test_a_key_is_shown_once_and_never_again(acme: Tenant, keys: str) -> None:
    issued = await created(acme.client, keys, {"name": "ci", "role": "developer", "project_id": acme.project["id"]})

    read = await acme.client.get(f"{keys}/{issued['id']}")
    listed = await acme.client.get(keys)

    assert read.json() == {name: value for name, value in issued.items() if name != "key"}
    assert (
        read.json().items()
        >= {
            "role": "developer",
            "project_id": acme.project["id"],
            "created_by": "api_key:tests",
            "hint": issued["key"][-4:],
        }.items()
    )
    assert listed.json()[0] == read.json()
    assert issued["key"] not in listed.text


async def test_a_key_does_what_its_role_says(acme: Tenant, keys: str, api_url: str) -> None:
    issued = await created(acme.client, keys, {"name": "looker", "role": "viewer"})

    async with client(api_url, issued["key"]) as viewer:
        seen = await viewer.get("/agents")
        started = await viewer.post("/executions", json={"agent_id": acme.agent["id"], "input": {"message": "x"}})
        issuing = await viewer.post(keys, json={"name": "mine", "role": "viewer"})

    assert [seen.status_code, started.status_code, issuing.status_code] == [200, 403, 403]
    assert "executions:start" in started.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x"},
        {"name": "x", "role": "king"},
        {"name": "x", "role": "viewer", "project_id": str(uuid4())},
        {"name": "x", "service_account_id": str(uuid4())},
        {"name": "x", "service_account_id": str(uuid4()), "role": "viewer"},
    ],
)
async def test_a_key_for_what_does_not_exist_is_refused(acme: Tenant, keys: str, body: dict[str, Any]) -> None:
    response = await acme.client.post(keys, json=body)

    assert response.status_code == 422


async def test_nobody_issues_a_key_that_may_do_more(acme: Tenant, keys: str, api_url: str) -> None:
    role = {"name": "issuer", "permissions": ["api_keys:create", "api_keys:read", "agents:read"]}
    await created(acme.client, f"/organizations/{acme.organization['id']}/roles", role)
    issued = await created(acme.client, keys, {"name": "issuer", "role": "issuer"})

    async with client(api_url, issued["key"]) as issuer:
        more = await issuer.post(keys, json={"name": "more", "role": "viewer"})
        same = await issuer.post(keys, json={"name": "same", "role": "issuer"})

    assert [more.status_code, same.status_code] == [403, 201]
    assert "projects:read" in more.json()["detail"]


@pytest.mark.parametrize(("method", "suffix"), [("DELETE", ""), ("POST", "/rotate")])
async def test_an_admin_does_not_take_over_the_key_of_an_owner(
    acme: Tenant, keys: str, api_url: str, method: str, suffix: str
) -> None:
    owner = (await acme.client.get(keys, params={"name": "tests"})).json()[0]
    admin_key = await created(acme.client, keys, {"name": "admin", "role": "admin"})

    async with client(api_url, admin_key["key"]) as admin:
        response = await admin.request(method, f"{keys}/{owner['id']}{suffix}", json={} if suffix else None)
        making = await admin.post(keys, json={"name": "me too", "role": "owner"})

    assert [response.status_code, making.status_code] == [403, 403]


async def test_a_revoked_key_stops_within_five_seconds_in_every_process_and_stays_listed(
    acme: Tenant,
    keys: str,
    settings: Settings,
    orchestrator: FakeOrchestrator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    issued = await created(acme.client, keys, {"name": "ci", "role": "viewer"})
    async with api_server(settings, orchestrator) as elsewhere, client(elsewhere, issued["key"]) as holder:
        before = await holder.get("/agents")
        revoked = await acme.client.delete(f"{keys}/{issued['id']}")
        five_seconds_later(monkeypatch)

        after = await holder.get("/agents")

    assert [before.status_code, revoked.status_code, after.status_code] == [200, 204, 401]
    assert (await acme.client.get(f"{keys}/{issued['id']}")).json()["revoked_at"] is not None


async def test_a_rotated_key_works_on_for_its_overlap(acme: Tenant, keys: str, api_url: str) -> None:
    old = await created(acme.client, keys, {"name": "ci", "role": "viewer", "project_id": acme.project["id"]})

    new = await created(acme.client, f"{keys}/{old['id']}/rotate", {"overlap_seconds": 3600})

    async with client(api_url, old["key"]) as by_old, client(api_url, new["key"]) as by_new:
        answers = [(await by_old.get("/agents")).status_code, (await by_new.get("/agents")).status_code]
    stored = (await acme.client.get(f"{keys}/{old['id']}")).json()
    assert answers == [200, 200]
    assert stored["expires_at"] is not None
    assert {new[name] for name in ("name", "role", "project_id")} == {"ci", "viewer", acme.project["id"]}
    assert new["expires_at"] is None


async def test_without_an_overlap_the_old_key_ends_at_once(acme: Tenant, keys: str, api_url: str) -> None:
    old = await created(acme.client, keys, {"name": "ci", "role": "viewer"})
    await created(acme.client, f"{keys}/{old['id']}/rotate", {})

    async with client(api_url, old["key"]) as by_old:
        response = await by_old.get("/agents")
    again = await acme.client.post(f"{keys}/{old['id']}/rotate", json={})

    assert response.status_code == 401
    assert [again.status_code, again.json()["code"]] == [409, "key_ended"]


async def test_rotating_never_lengthens_a_life(acme: Tenant, keys: str) -> None:
    end = "2099-01-01T00:00:00Z"
    old = await created(acme.client, keys, {"name": "ci", "role": "viewer", "expires_at": end})

    new = await created(acme.client, f"{keys}/{old['id']}/rotate", {"overlap_seconds": 60})

    assert new["expires_at"] == end


async def test_the_last_use_is_noted_once_a_minute(
    settings: Settings, orchestrator: FakeOrchestrator, acme: Tenant, keys: str, test_database: TestDatabase
) -> None:
    issued = await created(acme.client, keys, {"name": "ci", "role": "viewer"})
    uses = []

    # A server that has stopped has noted everything.
    async with api_server(settings, orchestrator) as url, client(url, issued["key"]) as holder:
        await holder.get("/agents")
    uses.append(last_use(test_database, issued["id"]))
    async with api_server(settings, orchestrator) as url, client(url, issued["key"]) as holder:
        await holder.get("/agents")
    uses.append(last_use(test_database, issued["id"]))
    await test_database.change("UPDATE credentials SET last_used_at = now() - interval '61 seconds'")
    async with api_server(settings, orchestrator) as url, client(url, issued["key"]) as holder:
        await holder.get("/agents")
    uses.append(last_use(test_database, issued["id"]))

    assert issued["last_used_at"] is None
    assert uses[0] is not None
    assert uses[1] == uses[0]
    assert uses[2] > uses[0]


def last_use(test_database: TestDatabase, key_id: str) -> Any:
    with psycopg.connect(test_database.superuser_url) as connection:
        row = connection.execute("SELECT last_used_at FROM credentials WHERE id = %s", [key_id]).fetchone()
    assert row is not None
    return row[0]


async def test_the_last_key_of_an_owner_is_not_revoked(acme: Tenant, keys: str) -> None:
    (only,) = (await acme.client.get(keys)).json()

    response = await acme.client.delete(f"{keys}/{only['id']}")

    assert [response.status_code, response.json()["code"]] == [409, "last_owner"]
    assert (await acme.client.get("/agents")).status_code == 200


async def test_the_operator_lets_a_first_owner_in_and_nobody_after(operator: httpx.AsyncClient, api_url: str) -> None:
    organization = await created(operator, "/organizations", {"name": "New", "slug": "new"})
    path = f"/organizations/{organization['id']}"

    first = await created(operator, f"{path}/bootstrap", {"name": "first"})

    second = await operator.post(f"{path}/bootstrap", json={"name": "second"})
    issuing = await operator.post(f"{path}/api-keys", json={"name": "third", "role": "viewer"})
    async with client(api_url, first["key"]) as owner:
        seen = await owner.get("/organizations")
    assert [second.status_code, second.json()["code"], issuing.status_code] == [409, "has_owner", 403]
    assert [first["role"], seen.json()] == ["owner", [organization]]


async def test_an_organization_that_has_lost_its_owner_gets_another(
    acme: Tenant, operator: httpx.AsyncClient, test_database: TestDatabase
) -> None:
    await test_database.change("UPDATE credentials SET expires_at = now() WHERE kind = 'api_key'")

    response = await operator.post(f"/organizations/{acme.organization['id']}/bootstrap", json={"name": "again"})

    assert response.status_code == 201


async def test_an_organization_that_does_not_exist_is_not_bootstrapped(operator: httpx.AsyncClient) -> None:
    response = await operator.post(f"/organizations/{uuid4()}/bootstrap", json={"name": "first"})

    assert response.status_code == 404

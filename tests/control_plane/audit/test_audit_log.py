from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import TestDatabase
from tests.tenants import Tenant, created
from tests.worker import claimed, message

pytestmark = pytest.mark.integration

CANARY = "canary-5f1c9a"


async def entries(tenant: Tenant, **parameters: Any) -> list[dict[str, Any]]:
    """The newest entries of a tenant's log."""
    response = await tenant.client.get(
        f"/organizations/{tenant.organization['id']}/audit-log", params={"limit": 200} | parameters
    )
    response.raise_for_status()
    found: list[dict[str, Any]] = response.json()
    return found


async def test_an_entry_says_who_did_what_from_where_by_which_request(acme: Tenant) -> None:
    answer = await acme.client.post(
        "/projects", json={"name": "Payments", "slug": "payments"}, headers={"X-Request-Id": "request-1"}
    )

    entry = (await entries(acme))[0]

    assert entry == {
        "id": entry["id"],
        "created_at": entry["created_at"],
        "organization_id": acme.organization["id"],
        "actor": entry["actor"],
        "credential_id": entry["credential_id"],
        "member_id": None,
        "action": "projects:write",
        "method": "POST",
        "route": "/projects",
        "resource_type": "projects",
        "resource_id": answer.json()["id"],
        "request_id": "request-1",
        "client_address": "127.0.0.1",
        "status": 201,
    }
    assert entry["actor"].startswith("api_key:")
    assert entry["credential_id"] is not None
    assert entry["created_at"] >= answer.json()["created_at"]


async def test_who_exports_an_organization_is_written_down_though_it_changes_nothing(acme: Tenant) -> None:
    await acme.client.get(f"/organizations/{acme.organization['id']}/export")

    entry = (await entries(acme))[0]

    assert (entry["action"], entry["method"]) == ("organizations:export", "GET")
    assert (entry["resource_type"], entry["resource_id"]) == ("organizations", acme.organization["id"])


async def test_creating_an_organization_is_the_first_entry_of_its_own_log(acme: Tenant) -> None:
    first = (await entries(acme))[-1]

    assert (
        first.items()
        >= {
            "actor": "operator:operator",
            "credential_id": None,
            "action": "organizations:create",
            "resource_type": "organizations",
            "resource_id": acme.organization["id"],
        }.items()
    )


async def test_what_a_request_with_an_id_changes_is_named_by_that_id(acme: Tenant) -> None:
    execution = await acme.start()
    await acme.client.delete(f"/executions/{execution['id']}")

    entry = (await entries(acme))[0]

    assert (
        entry.items()
        >= {
            "action": "executions:cancel",
            "method": "DELETE",
            "route": "/executions/{execution_id}",
            "resource_type": "executions",
            "resource_id": execution["id"],
            "status": 204,
        }.items()
    )


@pytest.mark.parametrize(
    ("body", "status"),
    [({"name": "Shop", "slug": "shop"}, 409), ({"name": "Shop", "slug": "UPPER"}, 422)],
    ids=["refused by the service", "refused by validation"],
)
async def test_what_is_refused_changes_nothing_and_leaves_no_entry(
    acme: Tenant, body: dict[str, str], status: int
) -> None:
    before = await entries(acme)

    response = await acme.client.post("/projects", json=body)

    assert response.status_code == status
    assert await entries(acme) == before


async def test_reading_leaves_no_entry(acme: Tenant) -> None:
    before = await entries(acme)

    await acme.client.get("/projects")
    await acme.client.get(f"/agents/{acme.agent['id']}")

    assert await entries(acme) == before


async def test_the_worker_protocol_leaves_no_entry(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        before = await entries(acme)
        await worker.report(message(1))
        await worker.renew()
        await worker.finish()

    assert before[0]["action"] == "executions:start"
    assert await entries(acme) == before


async def test_no_entry_holds_anything_of_a_body_or_a_header(acme: Tenant) -> None:
    await acme.client.post("/projects", json={"name": CANARY, "slug": "payments"}, headers={"X-Note": CANARY})
    await acme.start(CANARY, note=CANARY)

    found = await entries(acme)

    assert [entry["action"] for entry in found[:2]] == ["executions:start", "projects:write"]
    assert CANARY not in str(found)


async def test_a_change_whose_entry_can_not_be_written_does_not_happen(
    acme: Tenant, test_database: TestDatabase
) -> None:
    await test_database.change("REVOKE INSERT ON audit_log FROM control_plane_app")

    response = await acme.client.post("/projects", json={"name": "Payments", "slug": "payments"})

    assert response.status_code == 500
    assert (await acme.client.get("/projects", params={"slug": "payments"})).json() == []


async def test_entries_are_read_page_by_page_each_once_newest_first(acme: Tenant) -> None:
    whole = await entries(acme)
    path = f"/organizations/{acme.organization['id']}/audit-log"

    first = await acme.client.get(path, params={"limit": 2})
    second = await acme.client.get(first.links["next"]["url"])

    assert len(whole) > 4
    assert first.json() + second.json() == whole[:4]
    assert whole == sorted(whole, key=lambda entry: str(entry["created_at"]), reverse=True)


@pytest.mark.parametrize("name", ["actor", "action", "resource_type", "resource_id"])
async def test_a_filter_leaves_exactly_what_it_names(acme: Tenant, name: str) -> None:
    await created(acme.client, "/projects", {"name": "Payments", "slug": "payments"})
    whole = await entries(acme)
    wanted = whole[0][name]

    found = await entries(acme, **{name: wanted})

    assert found == [entry for entry in whole if entry[name] == wanted]
    assert 0 < len(found) < len(whole)


async def test_filters_by_time_include_since_and_exclude_until(acme: Tenant) -> None:
    whole = await entries(acme)
    moment = whole[1]["created_at"]

    later = await entries(acme, since=moment)
    earlier = await entries(acme, until=moment)

    assert later == whole[:2]
    assert earlier == whole[2:]


async def test_nothing_is_found_in_the_future(acme: Tenant) -> None:
    moment = datetime.fromisoformat((await entries(acme))[0]["created_at"]) + timedelta(days=1)

    assert await entries(acme, since=moment.isoformat()) == []


@pytest.mark.parametrize("parameters", [{"since": "yesterday"}, {"until": "2026-01-01T00:00:00"}, {"actor": "\0"}])
async def test_a_filter_that_can_not_be_read_is_refused(acme: Tenant, parameters: dict[str, str]) -> None:
    response = await acme.client.get(f"/organizations/{acme.organization['id']}/audit-log", params=parameters)

    assert response.status_code == 422


async def test_the_log_of_another_organization_does_not_exist(acme: Tenant, globex: Tenant) -> None:
    response = await acme.client.get(f"/organizations/{globex.organization['id']}/audit-log")

    assert response.status_code == 404
    assert {entry["organization_id"] for entry in await entries(globex)} == {globex.organization["id"]}


async def test_the_operator_may_not_read_it(acme: Tenant, operator: httpx.AsyncClient) -> None:
    response = await operator.get(f"/organizations/{acme.organization['id']}/audit-log")

    assert response.status_code == 403

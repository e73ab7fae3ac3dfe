import pytest

from tests.clock import five_seconds_later
from tests.tenants import Tenant, client, created

pytestmark = pytest.mark.integration


@pytest.fixture
def accounts(acme: Tenant) -> str:
    """The path of the organization's service accounts."""
    return f"/organizations/{acme.organization['id']}/service-accounts"


async def test_its_keys_act_in_its_name_and_stop_while_it_is_disabled(
    acme: Tenant, accounts: str, api_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await created(acme.client, accounts, {"name": "ci", "grants": [{"role": "developer"}]})
    path = accounts.replace("service-accounts", "api-keys")
    key = await created(acme.client, path, {"name": "laptop", "service_account_id": account["id"]})
    body = {"agent_id": acme.agent["id"], "input": {"message": "go"}}

    async with client(api_url, key["key"]) as holder:
        started = await holder.post("/executions", json=body)
        disabled = await acme.client.patch(f"{accounts}/{account['id']}", json={"disabled": True})
        five_seconds_later(monkeypatch)
        stopped = await holder.get("/agents")
        await acme.client.patch(f"{accounts}/{account['id']}", json={"disabled": False})
        again = await holder.get("/agents")

    assert [started.status_code, stopped.status_code, again.status_code] == [201, 401, 200]
    assert started.json()["requested_by"] == "service_account:ci"
    assert disabled.json()["disabled_at"] is not None


async def test_a_deleted_account_takes_its_keys_along(acme: Tenant, accounts: str) -> None:
    account = await created(acme.client, accounts, {"name": "ci", "grants": [{"role": "viewer"}]})
    path = accounts.replace("service-accounts", "api-keys")
    key = await created(acme.client, path, {"name": "laptop", "service_account_id": account["id"]})

    deleted = await acme.client.delete(f"{accounts}/{account['id']}")

    assert deleted.status_code == 204
    assert (await acme.client.get(f"{path}/{key['id']}")).status_code == 404


async def test_nobody_gets_a_key_of_an_account_that_may_do_more(acme: Tenant, accounts: str, api_url: str) -> None:
    account = await created(acme.client, accounts, {"name": "root", "grants": [{"role": "owner"}]})
    path = accounts.replace("service-accounts", "api-keys")
    key = await created(acme.client, path, {"name": "admin", "role": "admin"})

    async with client(api_url, key["key"]) as admin:
        issuing = await admin.post(path, json={"name": "mine", "service_account_id": account["id"]})
        changing = await admin.patch(f"{accounts}/{account['id']}", json={"disabled": True})

    assert [issuing.status_code, changing.status_code] == [403, 403]

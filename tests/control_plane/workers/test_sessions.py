from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.clock import five_seconds_later
from tests.conftest import TestDatabase
from tests.tenants import Tenant, client, created
from tests.worker import claimed, joined

pytestmark = pytest.mark.integration

HEARTBEAT = "/worker-sessions/current/heartbeat"


async def beat(http: httpx.AsyncClient) -> int:
    """Give a sign of life; the status of the answer."""
    return (await http.post(HEARTBEAT, json={})).status_code


async def renew(api_url: str, credential: str, session: dict[str, Any]) -> httpx.Response:
    async with client(api_url, credential) as http:
        return await http.post(f"/worker-sessions/{session['session_id']}/renew")


async def test_renewing_moves_the_end_of_a_session(acme: Tenant, api_url: str) -> None:
    response = await renew(api_url, acme.worker_key, acme.session)

    renewal = response.json()
    assert datetime.fromisoformat(renewal["expires_at"]) > datetime.fromisoformat(acme.session["expires_at"])
    assert renewal["renew_after_seconds"] == pytest.approx(2880, abs=5)


async def test_a_session_that_is_not_renewed_ends(
    acme: Tenant, test_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await beat(acme.worker)
    await test_database.change("UPDATE credentials SET expires_at = now() WHERE kind = 'worker_session'")
    five_seconds_later(monkeypatch)

    after = await beat(acme.worker)

    assert [before, after] == [200, 401]


async def test_the_key_brings_a_session_back_that_ended_while_the_machine_slept(
    acme: Tenant, api_url: str, test_database: TestDatabase
) -> None:
    await test_database.change("UPDATE credentials SET expires_at = now() WHERE kind = 'worker_session'")
    before = await beat(acme.worker)

    renewal = await renew(api_url, acme.worker_key, acme.session)

    assert [before, renewal.status_code, await beat(acme.worker)] == [401, 200, 200]


async def test_whoever_has_the_token_alone_can_not_renew_it(acme: Tenant, api_url: str) -> None:
    response = await renew(api_url, acme.session["session_token"], acme.session)

    assert response.status_code == 403


async def test_another_key_of_the_environment_renews_nothing(acme: Tenant, api_url: str) -> None:
    other = await created(acme.client, f"/environments/{acme.environment['id']}/worker-keys", {"name": "other"})

    response = await renew(api_url, other["key"], acme.session)

    assert response.status_code == 404


async def test_a_worker_that_leaves_is_gone(acme: Tenant, api_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    left = await acme.worker.delete("/worker-sessions/current")
    renewal = await renew(api_url, acme.worker_key, acme.session)
    five_seconds_later(monkeypatch)

    assert [left.status_code, renewal.status_code, await beat(acme.worker)] == [204, 409, 401]
    assert renewal.json()["code"] == "session_ended"


async def test_what_a_worker_has_claimed_it_may_finish_after_leaving(
    acme: Tenant, api_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with claimed(acme, api_url) as execution:
        await acme.worker.delete("/worker-sessions/current")
        five_seconds_later(monkeypatch)

        finished = await execution.finish()

    assert finished.status_code == 204


async def test_revoking_the_key_ends_its_sessions_and_what_they_carry_out_within_five_seconds(
    acme: Tenant, api_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (key,) = (await acme.client.get(f"/environments/{acme.environment['id']}/worker-keys")).json()
    async with claimed(acme, api_url) as execution:
        before = [await beat(acme.worker), (await execution.renew()).status_code]
        await acme.client.delete(f"/environments/{acme.environment['id']}/worker-keys/{key['id']}")
        five_seconds_later(monkeypatch)

        after = [await beat(acme.worker), (await execution.renew()).status_code]

    renewal = await renew(api_url, acme.worker_key, acme.session)
    assert [before, after, renewal.status_code] == [[200, 200], [401, 401], 401]


async def test_a_key_that_expires_ends_its_sessions_but_lets_executions_finish(
    acme: Tenant, api_url: str, test_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with claimed(acme, api_url) as execution:
        await test_database.change("UPDATE credentials SET expires_at = now() WHERE kind = 'worker_key'")
        five_seconds_later(monkeypatch)

        after = [await beat(acme.worker), (await execution.renew()).status_code]

    assert after == [401, 200]


async def test_revoking_a_worker_ends_its_session_and_what_it_carries_out_within_five_seconds(
    acme: Tenant, api_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with claimed(acme, api_url) as execution:
        before = [await beat(acme.worker), (await execution.renew()).status_code]
        revoked = await acme.client.post(f"/workers/{acme.session['session_id']}/revoke")
        five_seconds_later(monkeypatch)

        after = [await beat(acme.worker), (await execution.renew()).status_code]

    renewal = await renew(api_url, acme.worker_key, acme.session)
    assert [before, after, renewal.status_code] == [[200, 200], [401, 401], 409]
    assert revoked.json()["status"] == "offline"


async def test_deleting_the_queue_ends_the_sessions_in_it_and_lets_executions_finish(
    acme: Tenant, api_url: str, urgent: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await joined(api_url, acme.worker_key, f"worker-queues/{urgent['id']}")
    execution = await acme.start()
    async with client(api_url, session["session_token"]) as worker:
        claim = (await worker.post(f"/worker/executions/{execution['id']}/claim", json={"worker": "w"})).json()
        before = await beat(worker)
        await acme.client.delete(f"/worker-queues/{urgent['id']}")
        five_seconds_later(monkeypatch)
        after = await beat(worker)
    async with client(api_url, claim["execution_token"]) as holder:
        lease = await holder.post(f"/worker/executions/{execution['id']}/lease", json={"fence": claim["fence"]})

    assert [before, after, lease.status_code] == [200, 401, 200]


async def test_deleting_the_environment_ends_its_sessions(
    acme: Tenant, api_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"name": "Preview", "slug": "preview", "project_id": acme.project["id"]}
    environment = await created(acme.client, "/environments", body)
    session = await joined(api_url, acme.api_key, f"work-pools/{environment['work_pool']}")
    async with client(api_url, session["session_token"]) as worker:
        before = await beat(worker)
        await acme.client.delete(f"/environments/{environment['id']}")
        five_seconds_later(monkeypatch)

        after = await beat(worker)

    assert [before, after] == [200, 401]


async def test_a_disabled_service_account_ends_the_sessions_of_its_keys(
    acme: Tenant, api_url: str, pool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    organization = f"/organizations/{acme.organization['id']}"
    account = await created(
        acme.client, f"{organization}/service-accounts", {"name": "fleet", "grants": [{"role": "operator"}]}
    )
    key = await created(acme.client, f"{organization}/api-keys", {"name": "fleet", "service_account_id": account["id"]})
    session = await joined(api_url, key["key"], pool)
    async with client(api_url, session["session_token"]) as worker:
        before = await beat(worker)
        await acme.client.patch(f"{organization}/service-accounts/{account['id']}", json={"disabled": True})
        five_seconds_later(monkeypatch)

        after = await beat(worker)

    assert [before, after] == [200, 401]


async def test_a_session_opens_nothing_of_what_people_do(acme: Tenant) -> None:
    answers = [await acme.worker.get(path) for path in ("/executions", "/workers", "/secrets", "/environments")]

    assert [answer.status_code for answer in answers] == [403] * 4

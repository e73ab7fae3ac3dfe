import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.conftest import TestDatabase
from tests.tenants import Tenant, client, created
from tests.worker import join, joined

pytestmark = pytest.mark.integration


async def another_environment(tenant: Tenant) -> dict[str, Any]:
    body = {"name": "Production", "slug": "production", "project_id": tenant.project["id"]}
    return await created(tenant.client, "/environments", body)


async def test_a_worker_key_opens_a_session_of_the_queue(
    acme: Tenant, api_url: str, urgent: dict[str, Any], settings: Any
) -> None:
    session = await joined(api_url, acme.worker_key, f"worker-queues/{urgent['id']}")

    assert session["session_token"].startswith("cps_")
    assert session["work_pool"] == "env-acme-staging"
    assert session["worker_queue"] == {"id": urgent["id"], "name": "urgent"}
    assert session["environment_id"] == acme.environment["id"]
    assert session["prefect_api_url"] == "http://127.0.0.1:7777/api/v1/prefect/api"
    assert session["llm_url"] == "http://127.0.0.1:7777/api/v1/llm"
    assert session["renew_after_seconds"] == pytest.approx(0.8 * 3600, abs=5)
    assert session["settings"] == {"heartbeat_seconds": 10.0, "concurrency_limit": None, "max_workers": None}


@pytest.mark.parametrize(("wanted", "name"), [({}, "default"), ({"worker_queue": "urgent"}, "urgent")])
async def test_by_the_name_of_the_pool_a_worker_joins_the_default_queue_or_the_one_it_names(
    acme: Tenant, api_url: str, pool: str, urgent: dict[str, Any], wanted: dict[str, str], name: str
) -> None:
    session = await joined(api_url, acme.worker_key, pool, **wanted)

    assert session["worker_queue"]["name"] == name


async def test_an_api_key_opens_a_session_too(acme: Tenant, api_url: str, pool: str) -> None:
    session = await joined(api_url, acme.api_key, pool)

    worker = await acme.client.get(f"/workers/{session['session_id']}")
    assert worker.json()["joined_with"] == "api_key:tests"


async def test_an_api_key_whose_role_does_not_allow_it_opens_none(acme: Tenant, api_url: str, pool: str) -> None:
    path = f"/organizations/{acme.organization['id']}/api-keys"
    key = await created(acme.client, path, {"name": "looker", "role": "viewer"})

    response = await join(api_url, key["key"], pool)

    assert response.status_code == 403


async def test_executions_are_claimed_with_a_session_and_not_with_the_key(acme: Tenant, api_url: str) -> None:
    execution = await acme.start()
    path = f"/worker/executions/{execution['id']}/claim"

    async with client(api_url, acme.worker_key) as http:
        with_key = await http.post(path, json={"worker": "worker-1"})
    with_session = await acme.worker.post(path, json={"worker": "worker-1"})

    assert [with_key.status_code, with_session.status_code] == [403, 200]


async def test_a_session_opens_no_other_session(acme: Tenant, api_url: str, pool: str) -> None:
    response = await join(api_url, acme.session["session_token"], pool)

    assert response.status_code == 403


async def test_a_worker_key_opens_no_other_environment_of_its_organization(acme: Tenant, api_url: str) -> None:
    other = await another_environment(acme)
    (queue,) = (await acme.client.get(f"/environments/{other['id']}/worker-queues")).json()

    by_pool = await join(api_url, acme.worker_key, f"work-pools/{other['work_pool']}")
    by_queue = await join(api_url, acme.worker_key, f"worker-queues/{queue['id']}")

    assert [by_pool.status_code, by_queue.status_code] == [404, 404]


async def test_a_worker_key_opens_no_environment_of_another_organization(
    acme: Tenant, globex: Tenant, api_url: str
) -> None:
    response = await join(api_url, acme.worker_key, f"work-pools/{globex.environment['work_pool']}")

    assert response.status_code == 404


async def test_a_queue_that_does_not_exist_is_named(acme: Tenant, api_url: str, pool: str) -> None:
    response = await join(api_url, acme.worker_key, pool, worker_queue="slow")

    assert (response.status_code, "worker queue slow" in response.json()["detail"]) == (404, True)


@pytest.mark.parametrize("version", ["0.0.9", "0.1.0rc1", "next tuesday"])
async def test_a_worker_of_a_version_that_is_not_accepted_is_told_which_are(
    acme: Tenant, api_url: str, pool: str, version: str
) -> None:
    response = await join(api_url, acme.worker_key, pool, version=version)

    problem = response.json()
    assert (response.status_code, problem["code"]) == (409, "worker_version_refused")
    assert "from version 0.1.0 on" in problem["detail"]
    assert version in problem["detail"]


async def test_an_environment_takes_no_more_workers_than_its_limit(acme: Tenant, api_url: str, pool: str) -> None:
    await acme.client.patch(f"/environments/{acme.environment['id']}", json={"max_workers": 1})

    response = await join(api_url, acme.worker_key, pool)

    problem = response.json()
    assert (response.status_code, problem["code"]) == (409, "too_many_workers")
    assert "environment staging has 1 workers online" in problem["detail"]


async def test_a_queue_takes_no_more_workers_than_its_limit(
    acme: Tenant, api_url: str, pool: str, urgent: dict[str, Any]
) -> None:
    await acme.client.patch(f"/worker-queues/{urgent['id']}", json={"max_workers": 0})

    refused = await join(api_url, acme.worker_key, f"worker-queues/{urgent['id']}")
    elsewhere = await join(api_url, acme.worker_key, pool)

    assert [refused.status_code, elsewhere.status_code] == [409, 201]
    assert "worker queue urgent has 0 workers" in refused.json()["detail"]


async def test_workers_that_are_offline_do_not_count(
    acme: Tenant, api_url: str, pool: str, test_database: TestDatabase
) -> None:
    await acme.client.patch(f"/environments/{acme.environment['id']}", json={"max_workers": 1})
    await test_database.change("UPDATE workers SET last_seen_at = now() - interval '31 seconds'")

    response = await join(api_url, acme.worker_key, pool)

    assert response.status_code == 201


async def test_of_workers_that_come_at_once_only_as_many_are_let_in_as_there_is_room(
    acme: Tenant, api_url: str, pool: str
) -> None:
    await acme.client.patch(f"/environments/{acme.environment['id']}", json={"max_workers": 3})

    answers = await asyncio.gather(*(join(api_url, acme.worker_key, pool) for _ in range(12)))

    assert sorted(answer.status_code for answer in answers) == [201] * 2 + [409] * 10


async def test_a_session_ends_no_later_than_the_key_that_opened_it(acme: Tenant, api_url: str, pool: str) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=10)
    path = f"/environments/{acme.environment['id']}/worker-keys"
    key = await created(acme.client, path, {"name": "short", "expires_at": soon.isoformat()})

    session = await joined(api_url, key["key"], pool)

    assert datetime.fromisoformat(session["expires_at"]) == soon
    assert session["renew_after_seconds"] == pytest.approx(480, abs=20)


async def test_what_a_worker_says_of_itself_is_stored_whatever_it_is(acme: Tenant, api_url: str, pool: str) -> None:
    session = await joined(api_url, acme.worker_key, pool, hostname="nul \x00", unknown="ignored")

    worker = (await acme.client.get(f"/workers/{session['session_id']}")).json()
    assert worker["hostname"] == "nul \ufffd"


async def test_joining_leaves_an_entry_in_the_audit_log_and_no_token_anywhere(
    acme: Tenant, test_database: TestDatabase
) -> None:
    with psycopg.connect(test_database.superuser_url) as connection:
        entries = connection.execute(
            "SELECT actor, action, resource_id::text FROM audit_log WHERE action = 'workers:join'"
        ).fetchall()
        stored = connection.execute("SELECT row_to_json(credentials)::text FROM credentials").fetchall()

    assert entries == [("worker_key:worker-1", "workers:join", acme.session["session_id"])]
    assert [row for (row,) in stored if acme.session["session_token"] in row] == []

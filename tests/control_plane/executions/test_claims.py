import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest

from tests.conftest import TestDatabase
from tests.tenants import Tenant, client, created
from tests.worker import Claimed, claimed, joined

pytestmark = pytest.mark.integration


async def test_a_claim_takes_the_execution(acme: Tenant) -> None:
    execution = await acme.start()

    claim = await acme.claim(execution["id"])

    running = (await acme.client.get(f"/executions/{execution['id']}")).json()
    assert claim["execution_id"] == execution["id"]
    assert claim["fence"] == 1
    assert running["status"] == "running"
    assert running["started_at"] is not None


async def test_a_lease_holds_for_as_long_as_the_settings_say_and_is_renewed_six_times_in_it(acme: Tenant) -> None:
    execution = await acme.start()

    claim = await acme.claim(execution["id"])

    remaining = datetime.fromisoformat(claim["lease_expires_at"]) - datetime.now(UTC)
    assert timedelta(seconds=15) < remaining <= timedelta(seconds=20)
    assert claim["renew_every_seconds"] == pytest.approx(20 / 6)
    assert claim["lease_seconds"] == 20


async def test_the_same_claim_may_be_repeated(acme: Tenant) -> None:
    execution = await acme.start()
    claim_id = str(uuid4())
    first = await acme.claim(execution["id"], claim_id=claim_id)

    second = await acme.claim(execution["id"], claim_id=claim_id)

    assert second["fence"] == first["fence"]


async def test_every_token_of_a_repeated_claim_holds_whichever_answer_arrives(acme: Tenant, api_url: str) -> None:
    execution = await acme.start()
    claim_id = str(uuid4())
    first = await acme.claim(execution["id"], claim_id=claim_id)
    second = await acme.claim(execution["id"], claim_id=claim_id)

    async with client(api_url, first["execution_token"]) as old, client(api_url, second["execution_token"]) as new:
        answers = [await http.get(f"/worker/executions/{execution['id']}/plan") for http in (old, new)]

    assert [answer.status_code for answer in answers] == [200, 200]


async def test_every_token_of_a_repeated_claim_dies_with_the_execution(
    acme: Tenant, test_database: TestDatabase
) -> None:
    execution = await acme.start()
    claim_id = str(uuid4())
    await acme.claim(execution["id"], claim_id=claim_id)
    claim = await acme.claim(execution["id"], claim_id=claim_id)
    async with client(str(acme.client.base_url).removesuffix("/api/v1/"), claim["execution_token"]) as http:
        await Claimed(http, execution["id"], claim).finish()

    with psycopg.connect(test_database.superuser_url) as connection:
        rows = connection.execute(
            "SELECT expires_at < now() + interval '2 minutes' FROM credentials WHERE execution_id = %s",
            [execution["id"]],
        ).fetchall()

    assert rows == [(True,), (True,)]


async def test_a_second_process_is_refused(acme: Tenant) -> None:
    execution = await acme.start()
    await acme.claim(execution["id"], worker="the first")

    response = await acme.worker.post(f"/worker/executions/{execution['id']}/claim", json={"worker": "the second"})

    assert response.status_code == 409
    assert response.json()["code"] == "already_claimed"
    assert "the first" in response.json()["detail"]


async def test_of_twenty_claims_at_once_exactly_one_wins(acme: Tenant) -> None:
    execution = await acme.start()

    answers = await asyncio.gather(
        *(
            acme.worker.post(f"/worker/executions/{execution['id']}/claim", json={"worker": f"worker-{number}"})
            for number in range(20)
        )
    )

    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 19}


async def test_an_execution_of_another_environment_does_not_exist_for_a_worker(acme: Tenant, api_url: str) -> None:
    body = {"name": "Production", "slug": "production", "project_id": acme.project["id"]}
    environment = await created(acme.client, "/environments", body)
    key = await created(acme.client, f"/environments/{environment['id']}/worker-keys", {"name": "elsewhere"})
    session = await joined(api_url, key["key"], f"work-pools/{environment['work_pool']}")
    execution = await acme.start()

    async with client(api_url, session["session_token"]) as elsewhere:
        response = await elsewhere.post(f"/worker/executions/{execution['id']}/claim", json={"worker": "x"})

    assert response.status_code == 404


async def test_an_execution_of_another_organization_does_not_exist_for_a_worker(acme: Tenant, globex: Tenant) -> None:
    execution = await acme.start()

    response = await globex.worker.post(f"/worker/executions/{execution['id']}/claim", json={"worker": "x"})

    assert response.status_code == 404


async def test_an_execution_that_has_ended_is_not_claimed(acme: Tenant) -> None:
    execution = await acme.start()
    await acme.client.delete(f"/executions/{execution['id']}")

    response = await acme.worker.post(f"/worker/executions/{execution['id']}/claim", json={"worker": "x"})

    assert response.status_code == 409
    assert response.json()["code"] == "execution_ended"


async def test_a_worker_can_not_name_the_flow_run_that_we_would_cancel_for_it(
    acme: Tenant, test_database: TestDatabase
) -> None:
    execution = await acme.start()
    foreign_run = str(uuid4())

    await acme.claim(execution["id"], flow_run_id=foreign_run)

    with psycopg.connect(test_database.superuser_url) as connection:
        noted = connection.execute("SELECT flow_run_id FROM executions WHERE flow_run_id = %s", [foreign_run])
        assert noted.fetchall() == []


async def test_the_name_of_a_worker_may_hold_what_a_database_can_not_store(acme: Tenant) -> None:
    execution = await acme.start()

    await acme.claim(execution["id"], worker="host\x00name")

    response = await acme.worker.post(f"/worker/executions/{execution['id']}/claim", json={"worker": "x"})
    assert "host\ufffdname" in response.json()["detail"]


async def test_the_plan_is_what_was_frozen(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        response = await worker.http.get(f"{worker.path}/plan")

    plan = response.json()
    assert response.status_code == 200
    assert plan["execution_id"] == worker.execution_id
    assert plan["organization"] == {"id": acme.organization["id"], "name": "acme"}
    assert plan["agent"]["name"] == "Assistant"
    assert plan["input"]["message"] == "What time is it?"


async def test_a_renewal_prolongs_the_lease(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        response = await worker.renew()

    assert response.status_code == 200
    assert response.json()["cancel_requested"] is False
    assert response.json()["lease_seconds"] == 20
    assert response.json()["lease_expires_at"] > worker.claim["lease_expires_at"]


async def test_a_renewal_tells_that_somebody_wants_the_execution_to_stop(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        await acme.client.delete(f"/executions/{worker.execution_id}")

        response = await worker.renew()

    assert response.json()["cancel_requested"] is True

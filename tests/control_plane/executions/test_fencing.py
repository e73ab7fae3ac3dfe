from uuid import UUID, uuid4

import psycopg
import pytest

from tests.conftest import TestDatabase
from tests.tenants import Tenant, client
from tests.worker import Claimed, claimed, events_of, message

pytestmark = pytest.mark.integration


async def put_back(test_database: TestDatabase, execution_id: str) -> None:
    """Let an execution wait to be claimed again, as it will after an approval."""
    await test_database.change("UPDATE executions SET status = 'scheduled' WHERE id = %s", execution_id)


async def test_the_fence_grows_with_every_claim(acme: Tenant, test_database: TestDatabase) -> None:
    execution = await acme.start()
    first = await acme.claim(execution["id"])
    await put_back(test_database, execution["id"])

    second = await acme.claim(execution["id"])

    assert [first["fence"], second["fence"]] == [1, 2]


async def test_the_token_of_an_earlier_claim_opens_nothing(
    acme: Tenant, api_url: str, test_database: TestDatabase
) -> None:
    async with claimed(acme, api_url) as worker:
        await put_back(test_database, worker.execution_id)
        await acme.claim(worker.execution_id)

        response = await worker.report(message(1))

    assert response.status_code == 401


async def test_no_token_of_an_earlier_claim_survives_a_new_one_even_if_that_claim_was_repeated(
    acme: Tenant, api_url: str, test_database: TestDatabase
) -> None:
    claim_id = str(uuid4())
    async with claimed(acme, api_url, claim_id=claim_id) as worker:
        await acme.claim(worker.execution_id, claim_id=claim_id)
        await put_back(test_database, worker.execution_id)
        await acme.claim(worker.execution_id)

        response = await worker.report(message(1))

    with psycopg.connect(test_database.superuser_url) as connection:
        fences = connection.execute("SELECT fence FROM credentials WHERE execution_id = %s", [worker.execution_id])
        assert fences.fetchall() == [(2,)]
    assert response.status_code == 401


async def test_an_earlier_fence_is_refused_even_with_the_token_of_the_present_claim(
    acme: Tenant, api_url: str, test_database: TestDatabase
) -> None:
    execution = await acme.start()
    await acme.claim(execution["id"])
    await put_back(test_database, execution["id"])
    claim = await acme.claim(execution["id"])
    async with client(api_url, claim["execution_token"]) as http:
        worker = Claimed(http, execution["id"], claim)

        answers = [
            await worker.report(message(1), fence=1),
            await worker.renew(fence=1),
            await worker.finish(fence=1),
        ]

    assert [answer.status_code for answer in answers] == [409, 409, 409]
    assert {answer.json()["code"] for answer in answers} == {"lease_lost"}


async def test_a_token_that_is_remembered_from_an_earlier_claim_is_stopped_by_its_fence(
    acme: Tenant, api_url: str, test_database: TestDatabase
) -> None:
    async with claimed(acme, api_url) as worker:
        await worker.renew()
        await put_back(test_database, worker.execution_id)
        await acme.claim(worker.execution_id)

        answers = [
            await worker.report(message(1), fence=2),
            await worker.renew(fence=2),
            await worker.finish(fence=2),
            await worker.http.get(f"{worker.path}/plan"),
        ]

    assert [answer.status_code for answer in answers] == [409, 409, 409, 409]
    assert {answer.json()["code"] for answer in answers} == {"lease_lost"}


async def test_the_sequence_of_reports_begins_again_with_every_claim(
    acme: Tenant, api_url: str, test_database: TestDatabase
) -> None:
    async with claimed(acme, api_url) as worker:
        await worker.report(message(1), message(2))
    await put_back(test_database, worker.execution_id)
    claim = await acme.claim(worker.execution_id)
    async with client(api_url, claim["execution_token"]) as http:
        response = await Claimed(http, worker.execution_id, claim).report(message(1, "from the second claim"))

    contents = [event["data"].get("content") for event in await events_of(acme, worker.execution_id)]
    assert response.json() == {"sequence": 1}
    assert contents[-1] == "from the second claim"


async def test_a_finish_is_harmless_to_repeat(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        first = await worker.finish(response="12 o'clock")
        second = await worker.finish(response="12 o'clock")

    done = [event for event in await events_of(acme, worker.execution_id) if event["type"] == "done"]
    assert [first.status_code, second.status_code] == [204, 204]
    assert len(done) == 1


async def test_a_finish_with_another_end_does_not_overwrite_the_first(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        await worker.finish(response="12 o'clock")

        response = await worker.finish(status="failed", error="changed my mind")

    execution = (await acme.client.get(f"/executions/{worker.execution_id}")).json()
    assert response.status_code == 409
    assert execution["status"] == "completed"
    assert execution["response"] == "12 o'clock"
    assert execution["error"] is None


async def test_nothing_is_reported_after_the_end(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        await worker.finish()

        answers = [
            await worker.report(message(1)),
            await worker.renew(),
            await worker.http.get(f"{worker.path}/plan"),
        ]

    assert [answer.status_code for answer in answers] == [409, 409, 409]


async def test_the_end_is_stored_with_its_times_response_and_usage(acme: Tenant, api_url: str) -> None:
    usage = {"input_tokens": 10, "output_tokens": 5, "model_turns": 2, "tool_calls": 1}
    async with claimed(acme, api_url) as worker:
        await worker.finish(response="done\x00", usage=usage)

    execution = (await acme.client.get(f"/executions/{worker.execution_id}")).json()
    last = (await events_of(acme, worker.execution_id))[-1]
    assert execution["status"] == "completed"
    assert execution["response"] == "done\ufffd"
    assert execution["usage"] == usage | {"cost_usd": None}
    assert execution["finished_at"] is not None
    assert last["type"] == "done"
    told = {"status": "completed", "response": "done\ufffd", "usage": execution["usage"]}
    assert last["data"].items() >= told.items()


async def test_a_worker_that_was_told_to_stop_ends_the_execution_as_cancelled(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        await acme.client.delete(f"/executions/{worker.execution_id}")
        await worker.finish(status="cancelled", error="stopped")

    execution = (await acme.client.get(f"/executions/{worker.execution_id}")).json()
    assert execution["status"] == "cancelled"
    assert UUID(execution["id"]) == UUID(worker.execution_id)

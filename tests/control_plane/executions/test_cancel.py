import pytest

from tests.tenants import Tenant
from tests.worker import claimed, events_of

pytestmark = pytest.mark.integration


async def test_an_execution_that_nobody_has_claimed_is_cancelled_at_once(acme: Tenant) -> None:
    execution = await acme.start()

    response = await acme.client.delete(f"/executions/{execution['id']}")

    cancelled = (await acme.client.get(f"/executions/{execution['id']}")).json()
    assert response.status_code == 204
    assert response.content == b""
    assert cancelled["status"] == "cancelled"
    assert (await events_of(acme, execution["id"]))[-1]["type"] == "done"


async def test_a_running_execution_is_asked_to_stop(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        response = await acme.client.delete(f"/executions/{worker.execution_id}")

    execution = (await acme.client.get(f"/executions/{worker.execution_id}")).json()
    assert response.status_code == 204
    assert execution["status"] == "running"
    assert execution["cancel_requested_at"] is not None


async def test_cancelling_twice_is_harmless(acme: Tenant) -> None:
    execution = await acme.start()
    await acme.client.delete(f"/executions/{execution['id']}")

    response = await acme.client.delete(f"/executions/{execution['id']}")

    done = [event for event in await events_of(acme, execution["id"]) if event["type"] == "done"]
    assert response.status_code == 204
    assert len(done) == 1


async def test_a_completed_execution_is_not_cancelled(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        await worker.finish(response="done")

        response = await acme.client.delete(f"/executions/{worker.execution_id}")

    execution = (await acme.client.get(f"/executions/{worker.execution_id}")).json()
    assert response.status_code == 409
    assert response.json()["code"] == "execution_ended"
    assert execution["status"] == "completed"

from datetime import timedelta

import pytest
from sqlalchemy import text

from control_plane.db import Database
from control_plane.environments import service as environments
from control_plane.executions.dispatch import Dispatcher
from control_plane.wire.executions import FinalStatus
from deployments.orchestrator import OrchestratorUnavailable
from tests.control_plane.executions.conftest import Shop
from tests.orchestrator import FakeOrchestrator

pytestmark = pytest.mark.integration

LAPSED = "lease_expires_at = now() - interval '1 second', attend_at = now() - interval '1 second'"


async def test_a_worker_that_falls_silent_loses_its_execution(shop: Shop, dispatcher: Dispatcher) -> None:
    execution_id = await shop.start()
    await shop.claim(execution_id)
    await shop.change(execution_id, LAPSED)

    await dispatcher.reconcile()
    await dispatcher._under_way[execution_id]

    execution = await shop.read(execution_id)
    assert execution.status == "failed"
    assert execution.error_code == "worker_lost"
    assert execution.error is not None
    assert "worker-1" in execution.error
    assert (await shop.events(execution_id))[-1].data["status"] == "failed"


async def test_a_lost_worker_that_had_been_told_to_stop_leaves_a_cancelled_execution(
    shop: Shop, dispatcher: Dispatcher
) -> None:
    execution_id = await shop.start()
    await shop.claim(execution_id)
    await shop.cancel(execution_id)
    await shop.change(execution_id, LAPSED)

    await dispatcher.attend(shop.organization_id, execution_id)

    execution = await shop.read(execution_id)
    assert execution.status == "cancelled"
    assert execution.error_code is None


async def test_the_token_of_a_lost_worker_dies_with_the_execution(
    shop: Shop, dispatcher: Dispatcher, database: Database
) -> None:
    execution_id = await shop.start()
    await shop.claim(execution_id)
    await shop.change(execution_id, LAPSED)

    await dispatcher.attend(shop.organization_id, execution_id)

    async with database.tenant(shop.organization_id) as session:
        remaining = await session.scalar(text("SELECT max(expires_at - now()) FROM credentials"))
    assert remaining <= timedelta(minutes=1)


async def test_a_lease_that_holds_is_left_alone(shop: Shop, dispatcher: Dispatcher) -> None:
    execution_id = await shop.start()
    await shop.claim(execution_id)

    await dispatcher.attend(shop.organization_id, execution_id)

    assert (await shop.read(execution_id)).status == "running"


async def test_the_run_of_a_lost_worker_is_stopped_and_then_nothing_is_left_to_do(
    shop: Shop, dispatcher: Dispatcher, orchestrator: FakeOrchestrator
) -> None:
    execution_id = await shop.start()
    await dispatcher.attend(shop.organization_id, execution_id)
    await shop.claim(execution_id)
    await shop.change(execution_id, LAPSED)
    await dispatcher.attend(shop.organization_id, execution_id)

    await dispatcher.reconcile()
    await dispatcher._under_way[execution_id]

    execution = await shop.read(execution_id)
    assert orchestrator.cancelled == [execution.flow_run_id]
    assert execution.attend_at is None


async def test_the_run_of_a_cancelled_execution_is_stopped_when_the_orchestrator_is_back(
    shop: Shop, dispatcher: Dispatcher, orchestrator: FakeOrchestrator
) -> None:
    execution_id = await shop.start()
    await dispatcher.attend(shop.organization_id, execution_id)
    orchestrator.down = True
    await shop.cancel(execution_id)
    await shop.attend(dispatcher, execution_id)
    orchestrator.down = False
    await shop.change(execution_id, "attend_at = now()")

    await dispatcher.reconcile()
    await dispatcher._under_way[execution_id]

    execution = await shop.read(execution_id)
    assert orchestrator.cancelled == [execution.flow_run_id]
    assert execution.status == "cancelled"
    assert execution.attend_at is None


async def test_a_finished_execution_needs_no_further_look(shop: Shop, dispatcher: Dispatcher) -> None:
    execution_id = await shop.start()
    await dispatcher.attend(shop.organization_id, execution_id)

    await shop.finish(await shop.claim(execution_id), FinalStatus.COMPLETED)

    assert (await shop.read(execution_id)).attend_at is None


async def test_work_pools_are_created_once_the_orchestrator_is_back(
    shop: Shop, dispatcher: Dispatcher, database: Database, orchestrator: FakeOrchestrator
) -> None:
    orchestrator.down = True
    with pytest.raises(OrchestratorUnavailable):
        await dispatcher.reconcile()
    orchestrator.down = False

    await dispatcher.reconcile()
    await dispatcher.reconcile()

    async with database.tenant(shop.organization_id) as session:
        environment = await environments.get(session, shop.environment_id)
    assert orchestrator.pools == ["env-acme-staging"]
    assert environment.provisioned_at is not None


async def test_a_dispatcher_that_is_stopped_leaves_nothing_behind(
    database: Database, orchestrator: FakeOrchestrator
) -> None:
    dispatcher = Dispatcher(database, orchestrator, every=timedelta(seconds=1))
    await dispatcher.start()

    await dispatcher.stop()

    assert dispatcher._reconciler is not None
    assert dispatcher._reconciler.done()
    assert dispatcher._under_way == {}

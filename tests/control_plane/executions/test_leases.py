import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from control_plane.db import Database
from control_plane.environments import provisioning
from control_plane.environments import service as environments
from control_plane.environments.schemas import EnvironmentCreate
from control_plane.executions.dispatch import CONCURRENCY_OF_ONE, Dispatcher
from control_plane.wire.executions import FinalStatus
from deployments.orchestrator import OrchestratorUnavailable, RunRequest
from tests.control_plane.executions.conftest import Shop
from tests.orchestrator import FakeOrchestrator

pytestmark = pytest.mark.integration


class HangingOrchestrator(FakeOrchestrator):
    """An orchestrator that accepts calls and never answers. `full`: it holds all that one may have under way."""

    def __init__(self) -> None:
        super().__init__()
        self.full = asyncio.Event()

    async def start(self, request: RunRequest) -> UUID:
        self.started.append(request)
        if len(self.started) == CONCURRENCY_OF_ONE:
            self.full.set()
        await asyncio.Event().wait()
        raise AssertionError


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


@pytest.mark.parametrize("asked_to_stop", ["", ", cancel_requested_at = now()"])
async def test_the_token_of_a_lost_worker_dies_with_the_execution(
    shop: Shop, dispatcher: Dispatcher, database: Database, asked_to_stop: str
) -> None:
    execution_id = await shop.start()
    await shop.claim(execution_id)
    await shop.change(execution_id, LAPSED + asked_to_stop)

    await dispatcher.attend(shop.organization_id, execution_id)

    async with database.tenant(shop.organization_id) as session:
        remaining = await session.scalar(
            text("SELECT max(expires_at - now()) FROM credentials WHERE execution_id = :id"), {"id": execution_id}
        )
    assert remaining <= timedelta()


async def test_a_lease_that_holds_is_left_alone(shop: Shop, dispatcher: Dispatcher) -> None:
    execution_id = await shop.start()
    await shop.claim(execution_id)

    await dispatcher.attend(shop.organization_id, execution_id)

    assert (await shop.read(execution_id)).status == "running"


async def test_the_run_of_a_lost_worker_is_given_up_and_then_nothing_is_left_to_do(
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
    assert (orchestrator.given_up, orchestrator.cancelled) == ([execution.flow_run_id], [])
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


async def test_after_a_start_workers_get_the_time_of_a_lease_to_renew_before_anybody_is_called_lost(
    shop: Shop, database: Database, orchestrator: FakeOrchestrator
) -> None:
    execution_id = await shop.start()
    await shop.claim(execution_id)
    await shop.change(execution_id, LAPSED)
    restarted = Dispatcher(database, orchestrator, every=timedelta(hours=1), lease=timedelta(seconds=20))

    await restarted.attend(shop.organization_id, execution_id)

    execution = await shop.read(execution_id)
    assert execution.status == "running"
    assert execution.attend_at is not None
    assert timedelta(seconds=10) < execution.attend_at - datetime.now(UTC) <= timedelta(seconds=20)


async def test_a_lost_worker_is_noticed_while_the_orchestrator_hangs(shop: Shop, database: Database) -> None:
    hanging = HangingOrchestrator()
    dispatcher = Dispatcher(database, hanging, every=timedelta(hours=1))
    waiting = [await shop.start() for _ in range(CONCURRENCY_OF_ONE + 2)]
    lost = await shop.start()
    await shop.claim(lost)
    await shop.change(lost, LAPSED)
    for execution_id in waiting:
        dispatcher.attend_soon(shop.organization_id, execution_id)
    await hanging.full.wait()

    await asyncio.wait_for(shop.attend(dispatcher, lost), 10)

    await dispatcher.stop()
    assert (await shop.read(lost)).error_code == "worker_lost"


async def test_an_environment_that_the_orchestrator_refuses_does_not_keep_the_others_waiting(
    shop: Shop, database: Database, orchestrator: FakeOrchestrator
) -> None:
    orchestrator.refuses.add("env-acme-staging")
    async with database.tenant(shop.organization_id) as session:
        first = await environments.get(session, shop.environment_id)
        await environments.create(
            session, shop.organization_id, EnvironmentCreate(name="Sound", slug="sound", project_id=first.project_id)
        )

    await provisioning.mirror(database, orchestrator)

    assert orchestrator.pools == ["env-acme-sound"]

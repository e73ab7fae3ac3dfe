import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from control_plane.db import Database
from control_plane.executions.dispatch import CLAIM_WITHIN, MOST_RUNS, Dispatcher
from control_plane.wire.executions import FinalStatus
from deployments.orchestrator import RunRequest, RunState, RunStatus
from tests.control_plane.executions.conftest import Shop
from tests.orchestrator import FakeOrchestrator

pytestmark = pytest.mark.integration


class CancelledMeanwhile(FakeOrchestrator):
    """An orchestrator that starts the run just as somebody cancels the execution."""

    def __init__(self, shop: Shop) -> None:
        super().__init__()
        self.shop = shop

    async def start(self, request: RunRequest) -> UUID:
        await self.shop.cancel(request.execution_id)
        return await super().start(request)


class FinishedMeanwhile(FakeOrchestrator):
    """An orchestrator whose worker is done before we have noted that the run was started."""

    def __init__(self, shop: Shop) -> None:
        super().__init__()
        self.shop = shop

    async def start(self, request: RunRequest) -> UUID:
        await self.shop.finish(await self.shop.claim(request.execution_id), FinalStatus.COMPLETED)
        return await super().start(request)


async def test_an_execution_becomes_a_run_on_the_work_pool_of_its_environment(
    shop: Shop, dispatcher: Dispatcher, orchestrator: FakeOrchestrator
) -> None:
    execution_id = await shop.start()

    await dispatcher.attend(shop.organization_id, execution_id)

    execution = await shop.read(execution_id)
    assert [(request.execution_id, request.work_pool) for request in orchestrator.started] == [
        (execution_id, "env-acme-staging")
    ]
    assert execution.status == "scheduled"
    assert execution.flow_run_id is not None
    assert [event.data["status"] for event in await shop.events(execution_id)] == ["pending", "scheduled"]


async def test_a_run_is_tagged_with_names_and_carries_nothing_else(
    shop: Shop, dispatcher: Dispatcher, orchestrator: FakeOrchestrator
) -> None:
    execution_id = await shop.start()

    await dispatcher.attend(shop.organization_id, execution_id)

    assert orchestrator.started[0].tags == {
        "organization": "acme",
        "project": "shop",
        "environment": "staging",
        "agent": "Assistant",
        "execution": str(execution_id),
    }


async def test_while_the_orchestrator_is_down_an_execution_waits_and_says_why(
    shop: Shop, dispatcher: Dispatcher, orchestrator: FakeOrchestrator
) -> None:
    orchestrator.down = True
    execution_id = await shop.start()

    await shop.attend(dispatcher, execution_id)

    execution = await shop.read(execution_id)
    assert execution.status == "pending"
    assert execution.dispatch_error == "the fake orchestrator is down"
    assert execution.dispatch_attempts == 1
    assert execution.attend_at is not None
    assert execution.attend_at > datetime.now(UTC)


async def test_the_pauses_between_attempts_grow_up_to_a_minute(
    shop: Shop, dispatcher: Dispatcher, orchestrator: FakeOrchestrator
) -> None:
    orchestrator.down = True
    execution_id = await shop.start()
    await shop.change(execution_id, "dispatch_attempts = 10")

    await shop.attend(dispatcher, execution_id)

    execution = await shop.read(execution_id)
    assert execution.attend_at is not None
    pause = execution.attend_at - datetime.now(UTC)
    assert timedelta(seconds=50) < pause <= timedelta(seconds=60)
    assert execution.dispatch_attempts == 10


async def test_what_failed_is_tried_again_within_moments(
    shop: Shop, dispatcher: Dispatcher, orchestrator: FakeOrchestrator
) -> None:
    orchestrator.down = True
    execution_id = await shop.start()
    await shop.attend(dispatcher, execution_id)

    orchestrator.down = False
    await asyncio.wait_for(orchestrator.asked_to_start.wait(), 10)

    assert [request.execution_id for request in orchestrator.started] == [execution_id]


async def test_when_the_orchestrator_is_back_the_execution_is_scheduled(
    shop: Shop, dispatcher: Dispatcher, orchestrator: FakeOrchestrator
) -> None:
    orchestrator.down = True
    execution_id = await shop.start()
    await shop.attend(dispatcher, execution_id)
    orchestrator.down = False
    await shop.change(execution_id, "attend_at = now()")

    await dispatcher.reconcile()
    await dispatcher._under_way[execution_id]

    execution = await shop.read(execution_id)
    assert execution.status == "scheduled"
    assert execution.dispatch_error is None
    assert execution.dispatch_attempts == 0


async def test_an_execution_that_is_not_due_is_left_alone(
    shop: Shop, dispatcher: Dispatcher, orchestrator: FakeOrchestrator
) -> None:
    await shop.start()

    await dispatcher.reconcile()

    assert dispatcher._under_way == {}
    assert orchestrator.started == []


async def test_two_dispatchers_at_once_start_one_run(
    shop: Shop, database: Database, orchestrator: FakeOrchestrator
) -> None:
    execution_id = await shop.start()
    dispatchers = [Dispatcher(database, orchestrator, every=timedelta(seconds=1)) for _ in range(2)]

    await asyncio.gather(*(dispatcher.attend(shop.organization_id, execution_id) for dispatcher in dispatchers))

    requests = {(request.execution_id, request.attempt) for request in orchestrator.started}
    assert requests == {(execution_id, 0)}
    assert [event.data["status"] for event in await shop.events(execution_id)] == ["pending", "scheduled"]


async def test_a_run_that_was_started_while_the_execution_was_cancelled_is_cancelled_too(
    shop: Shop, database: Database
) -> None:
    orchestrator = CancelledMeanwhile(shop)
    dispatcher = Dispatcher(database, orchestrator, every=timedelta(seconds=1))
    execution_id = await shop.start()
    await dispatcher.attend(shop.organization_id, execution_id)

    await dispatcher.reconcile()
    await dispatcher._under_way[execution_id]

    execution = await shop.read(execution_id)
    assert execution.status == "cancelled"
    assert orchestrator.cancelled == [execution.flow_run_id]
    assert execution.attend_at is None


async def test_a_run_that_is_done_before_it_was_noted_is_noted_and_not_cancelled(
    shop: Shop, database: Database
) -> None:
    orchestrator = FinishedMeanwhile(shop)
    dispatcher = Dispatcher(database, orchestrator, every=timedelta(seconds=1))
    execution_id = await shop.start()

    await dispatcher.attend(shop.organization_id, execution_id)
    await dispatcher.reconcile()

    execution = await shop.read(execution_id)
    assert execution.status == "completed"
    assert execution.flow_run_id is not None
    assert dispatcher._under_way == {}
    assert orchestrator.cancelled == []


@pytest.mark.parametrize("state", [RunState.ENDED, RunState.MISSING])
async def test_a_run_that_was_lost_before_a_claim_is_followed_by_another(
    shop: Shop, dispatcher: Dispatcher, orchestrator: FakeOrchestrator, state: RunState
) -> None:
    execution_id, first = await shop.dispatched(dispatcher)
    orchestrator.states[first] = RunStatus(state, "Crashed: no space left")

    await dispatcher.attend(shop.organization_id, execution_id)
    meanwhile = await shop.read(execution_id)
    await dispatcher.attend(shop.organization_id, execution_id)

    execution = await shop.read(execution_id)
    assert meanwhile.status == "pending"
    assert meanwhile.dispatch_error is not None
    assert "Crashed: no space left" in meanwhile.dispatch_error
    assert execution.status == "scheduled"
    assert execution.flow_run_id != first
    assert [request.attempt for request in orchestrator.started] == [0, 1]


async def test_the_next_run_is_started_within_moments(
    shop: Shop, dispatcher: Dispatcher, orchestrator: FakeOrchestrator
) -> None:
    execution_id, run_id = await shop.dispatched(dispatcher)
    orchestrator.states[run_id] = RunStatus(RunState.ENDED, "Crashed")
    orchestrator.asked_to_start.clear()

    await dispatcher.attend(shop.organization_id, execution_id)

    await asyncio.wait_for(orchestrator.asked_to_start.wait(), 10)


async def test_an_execution_whose_runs_are_lost_again_and_again_fails_and_says_why(
    shop: Shop, dispatcher: Dispatcher, orchestrator: FakeOrchestrator
) -> None:
    execution_id, run_id = await shop.dispatched(dispatcher)
    orchestrator.states[run_id] = RunStatus(RunState.ENDED, "Crashed: no space left")
    await shop.change(execution_id, f"run_attempt = {MOST_RUNS - 1}")

    await dispatcher.attend(shop.organization_id, execution_id)

    execution = await shop.read(execution_id)
    assert execution.status == "failed"
    assert execution.error_code == "run_ended_early"
    assert execution.error is not None
    assert "Crashed: no space left" in execution.error
    assert (await shop.events(execution_id))[-1].type == "done"


async def test_a_run_that_was_taken_long_ago_and_never_claimed_is_cancelled_and_followed_by_another(
    shop: Shop, dispatcher: Dispatcher, orchestrator: FakeOrchestrator
) -> None:
    execution_id, run_id = await shop.dispatched(dispatcher)
    long_ago = datetime.now(UTC) - CLAIM_WITHIN - timedelta(seconds=5)
    orchestrator.states[run_id] = RunStatus(RunState.HANDED_OUT, "Pending", since=long_ago)

    await dispatcher.attend(shop.organization_id, execution_id)

    execution = await shop.read(execution_id)
    assert orchestrator.cancelled == [run_id]
    assert (execution.status, execution.run_attempt) == ("pending", 1)


async def test_a_run_that_was_taken_just_now_is_left_to_claim(
    shop: Shop, dispatcher: Dispatcher, orchestrator: FakeOrchestrator
) -> None:
    execution_id, run_id = await shop.dispatched(dispatcher)
    orchestrator.states[run_id] = RunStatus(RunState.HANDED_OUT, "Pending", since=datetime.now(UTC))

    await dispatcher.attend(shop.organization_id, execution_id)

    assert orchestrator.cancelled == []
    assert (await shop.read(execution_id)).status == "scheduled"


async def test_a_run_that_the_orchestrator_refuses_is_told_of_and_tried_again(
    shop: Shop, dispatcher: Dispatcher, orchestrator: FakeOrchestrator
) -> None:
    orchestrator.refuses.add("env-acme-staging")
    execution_id = await shop.start()

    await shop.attend(dispatcher, execution_id)

    execution = await shop.read(execution_id)
    assert (execution.status, execution.dispatch_attempts) == ("pending", 1)
    assert execution.dispatch_error == "the fake orchestrator refuses env-acme-staging"


async def test_a_run_that_waits_for_a_worker_is_looked_at_again_later(shop: Shop, dispatcher: Dispatcher) -> None:
    execution_id = await shop.start()
    await dispatcher.attend(shop.organization_id, execution_id)

    await dispatcher.attend(shop.organization_id, execution_id)

    execution = await shop.read(execution_id)
    assert execution.status == "scheduled"
    assert execution.attend_at is not None
    assert execution.attend_at > datetime.now(UTC) + timedelta(seconds=20)


async def test_one_broken_execution_does_not_stop_the_others(
    shop: Shop, dispatcher: Dispatcher, orchestrator: FakeOrchestrator
) -> None:
    broken, sound = await shop.start(), await shop.start()
    await shop.change(broken, "plan = '{}', attend_at = now()")
    await shop.change(sound, "attend_at = now()")

    await dispatcher.reconcile()
    await asyncio.gather(*dispatcher._under_way.values())

    assert (await shop.read(broken)).dispatch_error == "internal error, see the server's log"
    assert (await shop.read(sound)).status == "scheduled"


async def test_an_execution_that_waited_for_its_turn_and_was_cancelled_meanwhile_is_not_started(
    shop: Shop, database: Database, orchestrator: FakeOrchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("control_plane.executions.dispatch.STILL_NEW", timedelta())
    dispatcher = Dispatcher(database, orchestrator, every=timedelta(hours=1))
    execution_id = await shop.start()
    await shop.cancel(execution_id)

    dispatcher.dispatch_soon(shop.organization_id, RunRequest(execution_id=execution_id, work_pool="env-acme-staging"))
    await dispatcher._under_way[execution_id]

    assert orchestrator.started == []
    await dispatcher.stop()


async def test_a_new_execution_is_dispatched_without_a_look_at_it(
    shop: Shop, dispatcher: Dispatcher, orchestrator: FakeOrchestrator
) -> None:
    execution_id = await shop.start()
    run = RunRequest(execution_id=execution_id, work_pool="env-acme-staging", tags={"execution": str(execution_id)})

    dispatcher.dispatch_soon(shop.organization_id, run)
    await dispatcher._under_way[execution_id]

    assert orchestrator.started == [run]
    assert (await shop.read(execution_id)).status == "scheduled"

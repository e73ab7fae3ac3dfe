"""Processes that are killed or stopped in the middle of an execution, and what becomes of it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from control_plane.embedded.prefect_server import PrefectServer
from control_plane.settings import Settings
from tests.worker import events_of
from tests.workpools.working import Working, working_tenant
from tests.workpools.workshop import is_gone

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]

SLOW = [{"delay_seconds": 60}, {"say": "too late"}]


@pytest.fixture
async def working(settings: Settings, prefect_server: PrefectServer, tmp_path: Path) -> AsyncIterator[Working]:
    """A worker that is soon called lost when it falls silent."""
    brief = {"lease": timedelta(seconds=5), "reconcile_every": timedelta(milliseconds=200)}
    async with working_tenant(settings.model_copy(update=brief), prefect_server, tmp_path) as worker:
        yield worker


def family(pid: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield pid
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            yield from family(int(child))


def send(number: signal.Signals, *pids: int) -> None:
    for pid in pids:
        os.kill(pid, number)


async def pause_queue(working: Working, *, paused: bool) -> None:
    """Let the control plane offer nothing to workers, or go on."""
    path = f"/environments/{working.tenant.environment['id']}/worker-queues"
    [queue] = (await working.tenant.client.get(path)).json()
    (await working.tenant.client.patch(f"/worker-queues/{queue['id']}", json={"paused": paused})).raise_for_status()


async def test_a_worker_that_was_stopped_for_longer_than_its_lease_changes_nothing_and_goes_on(
    working: Working,
) -> None:
    execution_id = await working.start(*SLOW)
    child = await working.carried_out_by(execution_id)
    processes = list(family(working.process.pid))
    send(signal.SIGSTOP, *processes)
    async with asyncio.timeout(30):
        lost = await working.ended(execution_id)
    told = await events_of(working.tenant, execution_id)

    send(signal.SIGCONT, *processes)
    gone = await asyncio.to_thread(is_gone, child)
    states = await working.states(lost)
    again = await working.ended(await working.start({"say": "Still here."}))

    kept = (await working.tenant.client.get(f"/executions/{execution_id}")).json()
    assert child in processes
    assert (lost["status"], lost["error_code"]) == ("failed", "worker_lost")
    assert "stopped answering and its lease ran out" in lost["error"]
    assert gone
    assert kept | {"updated_at": lost["updated_at"]} == lost  # the reconciler has had a last look
    assert await events_of(working.tenant, execution_id) == told
    assert states[-1] in {"Failed", "Crashed"}
    assert again["response"] == "Still here."


async def test_the_execution_of_a_killed_worker_ends_and_says_why(working: Working) -> None:
    execution_id = await working.start(*SLOW)
    await working.carried_out_by(execution_id)

    working.process.kill()
    async with asyncio.timeout(30):
        lost = await working.ended(execution_id)

    assert (lost["status"], lost["error_code"]) == ("failed", "worker_lost")
    assert "stopped answering and its lease ran out" in lost["error"]


async def test_a_process_that_was_taken_for_an_execution_without_a_flow_run_is_ended_and_the_worker_goes_on(
    working: Working,
) -> None:
    await pause_queue(working, paused=True)
    doomed = await working.start({"say": "never said"})
    flow_run_id = await working.scheduled(doomed)
    await working.delete_flow_run(flow_run_id)
    await pause_queue(working, paused=False)

    sound = await working.start({"say": "said"})  # wakes the worker, which is offered both
    taken = await working.hears(rf"execution {doomed} is carried out by process (\d+)")
    await working.hears(f"execution {doomed} could not be carried out")

    assert await asyncio.to_thread(is_gone, int(taken[1]))
    assert (await working.ended(sound))["response"] == "said"
    async with asyncio.timeout(30):
        assert (await working.ended(doomed))["error_code"] == "worker_lost"

import asyncio
import os
import signal
from collections.abc import AsyncIterator
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
BRIEF = [{"delay_seconds": 3}, {"say": "in time"}]


@pytest.fixture
async def working(settings: Settings, prefect_server: PrefectServer, tmp_path: Path) -> AsyncIterator[Working]:
    """A worker that loses nothing because the machine is busy."""
    patient = settings.model_copy(update={"lease": timedelta(seconds=30)})
    async with working_tenant(patient, prefect_server, tmp_path) as worker:
        yield worker


async def test_an_execution_runs_in_a_process_that_was_ready_and_prefect_has_its_history(working: Working) -> None:
    execution_id = await working.start({"tool": "clock_now"}, {"say": "That was all."})

    await working.carried_out_by(execution_id)
    execution = await working.ended(execution_id)
    states = await working.states(execution)
    await working.hears(f"{execution_id} | .* Finished in state Completed")

    assert (execution["status"], execution["response"]) == ("completed", "That was all.")
    assert states == ["Scheduled", "Running", "Completed"]
    flow_run = (await working.prefect.get(f"/flow_runs/{execution['flow_run_id']}")).json()
    assert flow_run["start_time"] < flow_run["end_time"]
    assert await working.task_runs(flow_run["id"], until="COMPLETED") == [("clock_now", "Completed")]
    logs = await working.prefect.post("/logs/filter", json={"logs": {"flow_run_id": {"any_": [flow_run["id"]]}}})
    assert f"execution {execution_id} begins" in [log["message"] for log in logs.json()]


async def test_a_killed_process_is_reported_at_once_and_the_worker_goes_on(working: Working) -> None:
    execution_id = await working.start(*SLOW)
    pid = await working.carried_out_by(execution_id)

    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(15):
        execution = await working.ended(execution_id)
    states = await working.states(execution)
    again = await working.ended(await working.start({"say": "Still here."}))

    assert (execution["status"], execution["error_code"]) == ("failed", "worker_lost")
    assert "was killed by SIGKILL" in execution["error"]
    assert states == ["Scheduled", "Running", "Crashed"]
    assert again["response"] == "Still here."


async def test_a_cancelled_execution_stops(working: Working) -> None:
    execution_id = await working.start(*SLOW)
    pid = await working.carried_out_by(execution_id)

    await working.tenant.client.delete(f"/executions/{execution_id}")
    execution = await working.ended(execution_id)
    states = await working.states(execution)

    assert execution["status"] == "cancelled"
    assert states[-1] == "Cancelled"
    assert await asyncio.to_thread(is_gone, pid)


async def test_asked_to_stop_it_finishes_what_runs_takes_nothing_new_and_ends_well(working: Working) -> None:
    running = await working.start(*BRIEF)
    await working.carried_out_by(running)

    working.process.send_signal(signal.SIGTERM)
    await working.hears("Finishing 1 execution")
    later = await working.start({"say": "Not by this one."})
    execution = await working.ended(running)
    code = await asyncio.wait_for(working.process.wait(), 60)

    statuses = [event["data"].get("status") for event in await events_of(working.tenant, later)]
    assert (execution["status"], execution["response"]) == ("completed", "in time")
    assert code == 0
    assert "running" not in statuses


async def test_asked_twice_it_stops_what_runs(working: Working) -> None:
    running = await working.start(*SLOW)
    pid = await working.carried_out_by(running)

    working.process.send_signal(signal.SIGTERM)
    await working.hears("Finishing 1 execution")
    working.process.send_signal(signal.SIGTERM)
    execution = await working.ended(running)
    code = await asyncio.wait_for(working.process.wait(), 60)

    assert (execution["status"], execution["error_code"]) == ("failed", "worker_lost")
    assert is_gone(pid)
    assert code == 0


async def test_nothing_that_it_carried_out_lives_on_when_it_is_killed(working: Working) -> None:
    pid = await working.carried_out_by(await working.start(*SLOW))

    working.process.kill()

    assert await asyncio.to_thread(is_gone, pid)

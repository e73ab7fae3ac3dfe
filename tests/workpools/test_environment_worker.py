"""The worker as people start it, on a real Prefect server behind the control plane."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from control_plane.embedded.prefect_server import PrefectServer, client_environment
from control_plane.embedded.programs import program
from control_plane.settings import Settings
from deployments.orchestrator import Queue
from deployments.prefect_orchestrator import PrefectOrchestrator
from tests.serving import api_server
from tests.tenants import Tenant, create_tenant
from tests.worker import events_of
from tests.workpools.workshop import is_gone

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]

SLOW = [{"delay_seconds": 60}, {"say": "too late"}]
BRIEF = [{"delay_seconds": 3}, {"say": "in time"}]


@dataclass(slots=True)
class Working:
    """A tenant with a worker, and Prefect as its owner sees it."""

    tenant: Tenant
    process: Process
    prefect: httpx.AsyncClient
    said: str = ""

    async def start(self, *steps: dict[str, Any]) -> str:
        """Start an execution that does these steps; its id."""
        return str((await self.tenant.start(message=json.dumps(steps)))["id"])

    async def carried_out_by(self, execution_id: str) -> int:
        """The process that carries out an execution, once one does so."""
        found = await self.hears(rf"execution {execution_id} is carried out by process (\d+)")
        await self.hears(f"execution {execution_id} begins")
        return int(found[1])

    async def hears(self, text: str) -> re.Match[str]:
        """Read the worker's log until it holds the text."""
        assert self.process.stdout
        async with asyncio.timeout(90):
            while not (found := re.search(text, self.said)):
                line = await self.process.stdout.readline()
                assert line, f"the worker ended without a word of {text!r}:\n{self.said}"
                self.said += line.decode()
        return found

    async def ended(self, execution_id: str) -> dict[str, Any]:
        """The execution after its end."""
        async with asyncio.timeout(90):
            async with self.tenant.client.stream("GET", f"/executions/{execution_id}/stream") as story:
                async for _ in story.aiter_lines():
                    pass
        execution: dict[str, Any] = (await self.tenant.client.get(f"/executions/{execution_id}")).json()
        return execution

    async def states(self, execution: dict[str, Any]) -> list[str]:
        """The states of the flow run of an execution, once it has ended too."""
        async with asyncio.timeout(60):
            while True:
                answer = await self.prefect.get("/flow_run_states/", params={"flow_run_id": execution["flow_run_id"]})
                names = [state["name"] for state in sorted(answer.json(), key=lambda state: state["timestamp"])]
                if names[-1] not in {"Scheduled", "Running"}:
                    return names


@pytest.fixture
async def working(settings: Settings, prefect_server: PrefectServer, tmp_path: Path) -> AsyncIterator[Working]:
    """A worker with two slots that has its processes ready."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    reached = settings.model_copy(
        update={
            "public_url": f"http://127.0.0.1:{port}",
            "prefect_api_url": prefect_server.api_url,
            "prefect_auth_string": SecretStr(prefect_server.auth_string),
            "lease": timedelta(seconds=30),
        }
    )
    orchestrator = PrefectOrchestrator(
        api_url=prefect_server.api_url, ui_url="", auth_string=prefect_server.auth_string
    )
    user, _, password = prefect_server.auth_string.partition(":")
    async with (
        httpx.AsyncClient(base_url=prefect_server.api_url, auth=(user, password), trust_env=False) as prefect,
        api_server(reached, orchestrator, port=port) as url,
        create_tenant(url, "acme") as tenant,
    ):
        await orchestrator.ensure_environment(tenant.environment["work_pool"], [Queue("default")])
        process = await asyncio.create_subprocess_exec(
            program("prefect"),
            *("worker", "start", "--pool", tenant.environment["work_pool"], "--limit", "2"),
            stdout=PIPE,
            stderr=STDOUT,
            env=client_environment(tmp_path)
            | {
                "CONTROL_PLANE_URL": url,
                "CONTROL_PLANE_API_KEY": tenant.worker_key,
                "PREFECT_PLUGINS_ENABLED": "1",
                "PREFECT_PLUGINS_STRICT": "1",
                "PREFECT_WORKER_QUERY_SECONDS": "30",
            },
            cwd=tmp_path,
        )
        worker = Working(tenant, process, prefect)
        try:
            await worker.hears("ready for executions")
            yield worker
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


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
    tasks = await working.prefect.post("/task_runs/filter", json={"flow_runs": {"id": {"any_": [flow_run["id"]]}}})
    assert [(task["name"], task["state_name"]) for task in tasks.json()] == [("clock_now", "Completed")]
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

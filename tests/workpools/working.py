"""The worker as people start it, on a real Prefect server behind the control plane."""

import asyncio
import contextlib
import json
import re
import socket
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_fixed

from control_plane.embedded.prefect_server import PrefectServer, client_environment
from control_plane.embedded.programs import program
from control_plane.settings import Settings
from deployments.orchestrator import Queue
from deployments.prefect_orchestrator import PrefectOrchestrator
from tests.prefect_stage import prefect_api
from tests.serving import api_server
from tests.tenants import Tenant, create_tenant


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

    async def scheduled(self, execution_id: str) -> str:
        """The flow run of an execution that no worker has claimed yet, once it has one."""
        async with asyncio.timeout(30), self.tenant.client.stream("GET", f"/executions/{execution_id}/stream") as story:
            async for line in story.aiter_lines():
                if '"scheduled"' in line:
                    break
        return str((await self.tenant.client.get(f"/executions/{execution_id}")).json()["flow_run_id"])

    @retry(retry=retry_if_exception_type(httpx.HTTPStatusError), stop=stop_after_attempt(40), wait=wait_fixed(0.25))
    async def delete_flow_run(self, flow_run_id: str) -> None:
        """Let Prefect forget a flow run. On SQLite it has one writer, and refuses others while that is busy."""
        (await self.prefect.delete(f"/flow_runs/{flow_run_id}")).raise_for_status()

    async def ended(self, execution_id: str) -> dict[str, Any]:
        """The execution after its end."""
        async with asyncio.timeout(90):
            async with self.tenant.client.stream("GET", f"/executions/{execution_id}/stream") as story:
                async for _ in story.aiter_lines():
                    pass
        execution: dict[str, Any] = (await self.tenant.client.get(f"/executions/{execution_id}")).json()
        return execution

    async def task_runs(self, flow_run_id: str, *, until: str) -> list[tuple[str, str]]:
        """Name and state of those of a flow run, once Prefect has written down one in a state of that type."""
        body = {"flow_runs": {"id": {"any_": [flow_run_id]}}}
        async with asyncio.timeout(30):
            while True:
                found = (await self.prefect.post("/task_runs/filter", json=body)).json()
                if any(run["state_type"] == until for run in found):
                    return [(run["name"], run["state_name"]) for run in found]
                await asyncio.sleep(0.1)

    async def states(self, execution: dict[str, Any]) -> list[str]:
        """The states of the flow run of an execution, once it has ended too."""
        async with asyncio.timeout(60):
            while True:
                answer = await self.prefect.get("/flow_run_states/", params={"flow_run_id": execution["flow_run_id"]})
                names = [state["name"] for state in sorted(answer.json(), key=lambda state: state["timestamp"])]
                if names[-1] not in {"Scheduled", "Running", "Cancelling"}:
                    return names


@asynccontextmanager
async def working_tenant(settings: Settings, prefect_server: PrefectServer, folder: Path) -> AsyncIterator[Working]:
    """A tenant with a worker with two slots that has its processes ready."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    reached = settings.model_copy(
        update={
            "public_url": f"http://127.0.0.1:{port}",
            "prefect_api_url": prefect_server.api_url,
            "prefect_auth_string": SecretStr(prefect_server.auth_string),
        }
    )
    orchestrator = PrefectOrchestrator(
        api_url=prefect_server.api_url, ui_url="", auth_string=prefect_server.auth_string
    )
    async with (
        prefect_api(prefect_server) as prefect,
        api_server(reached, orchestrator, port=port) as url,
        create_tenant(url, "acme") as tenant,
    ):
        await orchestrator.ensure_environment(tenant.environment["work_pool"], [Queue("default")])
        process = await asyncio.create_subprocess_exec(
            program("prefect"),
            *("worker", "start", "--pool", tenant.environment["work_pool"], "--limit", "2"),
            stdout=PIPE,
            stderr=STDOUT,
            env=client_environment(folder)
            | {
                "CONTROL_PLANE_URL": url,
                "CONTROL_PLANE_API_KEY": tenant.worker_key,
                "PREFECT_PLUGINS_ENABLED": "1",
                "PREFECT_PLUGINS_STRICT": "1",
                "PREFECT_WORKER_QUERY_SECONDS": "30",
            },
            cwd=folder,
        )
        worker = Working(tenant, process, prefect)
        try:
            await worker.hears("ready for executions")
            yield worker
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

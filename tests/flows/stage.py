"""Where a whole execution plays: a real API server, the flow's own function, and a runtime that a test writes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from prefect.client.schemas.objects import State

from control_plane.wire.executions import Usage
from control_plane.wire.plan import Plan
from flows.agent_execution import execute_agent
from flows.runtimes.protocol import Emit, GovernedTool, ModelEndpoint, RunResult
from tests.flows.prefect_api import PrefectApi
from tests.tenants import Tenant, created
from toolsets.registry import Registry

Tools = dict[str, GovernedTool]


class Runtime:
    """Does what the test says. `started` is set when it begins, `stopped` when it is cancelled."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.stopped = asyncio.Event()
        self.act: Callable[[Tools, Emit], Awaitable[str]] = self.dawdle
        self.plan: Plan | None = None
        self.endpoint: ModelEndpoint | None = None

    async def run(self, plan: Plan, *, tools: Sequence[GovernedTool], endpoint: ModelEndpoint, emit: Emit) -> RunResult:
        self.plan, self.endpoint = plan, endpoint
        self.started.set()
        try:
            response = await self.act({tool.name.removeprefix("bench_"): tool for tool in tools}, emit)
        except asyncio.CancelledError:
            self.stopped.set()
            raise
        return RunResult(response=response, usage=Usage(model_turns=1))

    async def dawdle(self, _tools: Tools, _emit: Emit) -> str:
        """As a model that never answers."""
        await asyncio.Event().wait()
        return ""

    async def dawdle_in_a_tool(self, tools: Tools, _emit: Emit) -> str:
        """As a tool that never returns."""
        return await tools["dawdle"].call({})

    async def answer(self, _tools: Tools, _emit: Emit) -> str:
        """Come to an end."""
        return "Done."


@dataclass(frozen=True, slots=True)
class Stage:
    """One execution of an agent with the toolset `bench`."""

    tenant: Tenant
    runtime: Runtime
    prefect: PrefectApi
    execution_id: str

    async def play(self) -> State[Any]:
        """Run the flow to its end; the state that Prefect gets."""
        async with self.prefect.used():
            return await execute_agent.fn(self.execution_id)

    async def read(self) -> dict[str, Any]:
        """The execution as people see it."""
        response = await self.tenant.client.get(f"/executions/{self.execution_id}")
        execution: dict[str, Any] = response.json()
        return execution

    async def cancel(self) -> None:
        """Ask for a cancellation."""
        await self.tenant.client.delete(f"/executions/{self.execution_id}")


async def stage(
    tenant: Tenant, prefect: PrefectApi, monkeypatch: pytest.MonkeyPatch, *, toolsets: Sequence[str] = ("bench",)
) -> Stage:
    """Start an execution that waits for its flow to be run."""
    runtime = Runtime()
    bench = [EntryPoint("bench", "tests.flows.bench:Plugin", "control_plane.toolsets")]
    monkeypatch.setenv("CONTROL_PLANE_URL", str(tenant.client.base_url).removesuffix("/api/v1/"))
    monkeypatch.setenv("CONTROL_PLANE_API_KEY", tenant.session["session_token"])
    monkeypatch.setattr("flows.work.load", lambda _agent_type: runtime)
    monkeypatch.setattr("flows.work.Registry", lambda: Registry(bench))
    body = {
        "name": "Carpenter",
        "environment_id": tenant.environment["id"],
        "llm_config": {"provider": "scripted", "model": "script"},
        "toolsets": list(toolsets),
    }
    agent = await created(tenant.client, "/agents", body)
    execution = await replace(tenant, agent=agent).start(message="canary-prompt")
    return Stage(tenant, runtime, prefect, execution["id"])

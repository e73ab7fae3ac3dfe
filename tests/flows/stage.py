"""Where a whole execution plays: a real API server, the flow's own function, and a runtime that a test writes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from prefect.client.schemas.objects import State

from control_plane.wire.messages import Message
from flows.agent_execution import execute_agent
from flows.runtimes.channel import Channel
from flows.runtimes.protocol import OfferedTool, Setup, Signal, TextChunk, TurnEnded, TurnStarted
from tests.flows.prefect_api import PrefectApi
from tests.tenants import Tenant, created
from toolsets.registry import Registry

Tools = dict[str, OfferedTool]
Say = Callable[[str], Awaitable[None]]
"""What the model says while it acts."""


class Runtime:
    """Does what the test says. `started` is set when it begins, `stopped` when it is cancelled."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.stopped = asyncio.Event()
        self.act: Callable[[Tools, Say], Awaitable[str]] = self.dawdle
        self.setup: Setup | None = None
        self.messages: list[Message] = []

    @asynccontextmanager
    async def open(self, setup: Setup) -> AsyncIterator["Runtime"]:
        self.setup = setup
        yield self

    async def stream(self, messages: Sequence[Message], *, turns: int) -> AsyncGenerator[Signal]:  # noqa: ARG002 - the protocol names it
        self.messages = list(messages)
        channel = Channel()
        async with aclosing(channel.during(self._turns(channel))) as signals:
            async for signal in signals:
                yield signal

    async def _turns(self, channel: Channel) -> None:
        """A turn in which it acts, and one in which it answers."""
        assert self.setup
        await channel.tell(TurnStarted())
        await channel.tell(TurnEnded(input_tokens=10, output_tokens=2))
        tools = {tool.name.removeprefix("bench_"): tool for tool in self.setup.tools}
        self.started.set()
        try:
            response = await self.act(tools, lambda text: channel.tell(TextChunk(text)))
        except asyncio.CancelledError:
            self.stopped.set()
            raise
        await channel.tell(TurnStarted())
        await channel.tell(TextChunk(response))
        await channel.tell(TurnEnded(input_tokens=10, output_tokens=2))

    async def dawdle(self, _tools: Tools, _say: Say) -> str:
        """As a model that never answers."""
        await asyncio.Event().wait()
        return ""

    async def dawdle_in_a_tool(self, tools: Tools, _say: Say) -> str:
        """As a tool that never returns."""
        return await tools["dawdle"].call({})

    async def answer(self, _tools: Tools, _say: Say) -> str:
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

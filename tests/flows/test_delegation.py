import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from control_plane.client import Refused, WorkerClient
from control_plane.wire.children import Child
from flows.delegation import Delegation
from tests.asking import Asking, add_agent, asking
from tests.tenants import Tenant
from toolsets import ToolContext, ToolFailed
from toolsets.agents import Nobody
from toolsets.builtin.agent import AgentSettings, agent
from toolsets.context import Services
from toolsets.testing import conforms

pytestmark = pytest.mark.integration


class Watched(WorkerClient):
    """Sets `begun` when an agent is being asked, with the execution that does it."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(url, token)
        self.begun: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def start_child(self, *arguments: Any, **named: Any) -> Child:
        child = await super().start_child(*arguments, **named)
        self.begun.set_result(str(child.execution_id))
        return child


@asynccontextmanager
async def delegating(tenant: Tenant, api_url: str) -> AsyncIterator[tuple[Asking, Watched, Delegation]]:
    """An execution that may ask the agent Assistant, in one call of a tool."""
    lead = await add_agent(tenant, "Lead")
    async with asking(tenant, api_url, lead) as parent:
        token = parent.http.headers["Authorization"].removeprefix("Bearer ")
        async with Watched(api_url, token) as client:
            yield parent, client, Delegation(client, UUID(parent.id), fence=parent.fence, call_id="call")


def context(delegation: Delegation, workspace: Path) -> ToolContext[AgentSettings]:
    return ToolContext(UUID(int=1), "call", "call", workspace, AgentSettings(), Services(agents=delegation))


async def status_of(tenant: Tenant, execution_id: str) -> str:
    return str((await tenant.client.get(f"/executions/{execution_id}")).json()["status"])


def test_the_toolset_keeps_the_contract() -> None:
    conforms(agent)


async def test_an_agent_is_asked_and_answers(acme: Tenant, api_url: str, tmp_path: Path) -> None:
    async with delegating(acme, api_url) as (_, client, delegation), asyncio.timeout(30):
        listed = await agent.tools["agent_list"].call(context(delegation, tmp_path), {})
        arguments = {"agent": "Assistant", "message": "Test it."}
        call = asyncio.create_task(agent.tools["agent_ask"].call(context(delegation, tmp_path), arguments))
        child = await client.begun
        async with asking(acme, api_url, acme.agent, execution_id=child) as working:
            await working.finish(response="It works.")
        answer = await call

    assert listed == {"agents": [{"name": "Assistant", "description": ""}]}
    assert isinstance(answer, dict)
    assert (answer["response"], answer["agent"], answer["execution_id"]) == ("It works.", "Assistant", child)


async def test_why_an_agent_did_not_do_it_is_for_the_model(acme: Tenant, api_url: str) -> None:
    async with delegating(acme, api_url) as (_, client, delegation), asyncio.timeout(30):
        asked = asyncio.create_task(delegation.ask("Assistant", "Test it.", {}))
        child = await client.begun
        async with asking(acme, api_url, acme.agent, execution_id=child) as working:
            await working.finish(status="failed", error="No tests there.")
        with pytest.raises(ToolFailed, match=rf"its execution {child} ended as failed\. No tests there\."):
            await asked
        with pytest.raises(ToolFailed, match="There is no agent Nobody that this execution may ask"):
            await delegation.ask("Nobody", "Test it.", {})


async def test_a_call_that_is_given_up_stops_what_it_has_started(acme: Tenant, api_url: str) -> None:
    async with delegating(acme, api_url) as (parent, client, delegation), asyncio.timeout(30):
        asked = asyncio.create_task(delegation.ask("Assistant", "Test it.", {}))
        child = await client.begun
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked

        assert await status_of(acme, child) == "cancelled"
        assert await status_of(acme, parent.id) == "running"


async def test_that_the_execution_is_not_ours_any_more_is_not_for_the_model(acme: Tenant, api_url: str) -> None:
    async with delegating(acme, api_url) as (parent, _, delegation):
        await parent.finish()

        with pytest.raises(Refused) as caught:
            await delegation.ask("Assistant", "Test it.", {})

    assert caught.value.code == "lease_lost"


async def test_where_there_are_no_other_agents_nobody_can_be_asked() -> None:
    with pytest.raises(ToolFailed, match="There is no agent Tester to ask"):
        await Nobody().ask("Tester", "Test it.", {})
    assert await Nobody().listed() == ()

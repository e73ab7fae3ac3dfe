import asyncio
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sse_starlette.sse import AppStatus

from tests.asking import add_agent, asking
from tests.conftest import TestDatabase
from tests.control_plane.agent_tools.conftest import LEGACY, MODERN, connected
from tests.orchestrator import FakeOrchestrator
from tests.streams import read
from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration

MESSAGE: dict[str, Any] = {"message": "Test it."}


async def started(tenant: Tenant, orchestrator: FakeOrchestrator) -> dict[str, Any]:
    """The execution that a call starts, as soon as it is there."""
    async with asyncio.timeout(30):
        await orchestrator.asked_to_start.wait()
    execution: dict[str, Any] = (await tenant.client.get("/executions")).json()[0]
    return execution


async def ended(tenant: Tenant, execution: dict[str, Any]) -> dict[str, Any]:
    """The execution after its end."""
    await read(tenant, execution["id"])
    found: dict[str, Any] = (await tenant.client.get(f"/executions/{execution['id']}")).json()
    return found


@pytest.mark.parametrize("mode", [LEGACY, MODERN])
async def test_the_agents_of_the_environment_are_tools_and_one_answers(
    acme: Tenant, api_url: str, orchestrator: FakeOrchestrator, mode: str
) -> None:
    await add_agent(acme, "Release & ship", description="Ships.")
    heard: list[tuple[float, str | None]] = []

    async def hear(progress: float, _: float | None, message: str | None) -> None:
        heard.append((progress, message))

    async with connected(api_url, acme.environment, acme.api_key, mode=mode) as client:
        tools = (await client.list_tools()).tools
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            call = group.create_task(client.call_tool("Assistant", MESSAGE, progress_callback=hear))
            execution = await started(acme, orchestrator)
            async with asking(acme, api_url, acme.agent, execution_id=execution["id"]) as working:
                await working.finish(response="It works.")

    result = call.result()
    assert [tool.name for tool in tools] == ["Assistant", "Release_ship", "wait_for_execution"]
    assert (tools[1].title, tools[1].description) == ("Release & ship", "Ships.")
    assert tools[1].input_schema["required"] == ["message"]
    assert execution["input"] == MESSAGE
    assert result.is_error is False
    assert result.content[0].model_dump()["text"] == "It works."
    assert result.structured_content is not None
    assert result.structured_content["execution_id"] == execution["id"]
    assert [message for _, message in heard][-2:] == ["running", "completed"]
    assert [progress for progress, _ in heard] == sorted({progress for progress, _ in heard})


async def test_a_failed_execution_is_an_error_that_says_why(
    acme: Tenant, api_url: str, orchestrator: FakeOrchestrator
) -> None:
    async with (
        connected(api_url, acme.environment, acme.api_key) as client,
        asyncio.timeout(30),
        asyncio.TaskGroup() as group,
    ):
        call = group.create_task(client.call_tool("Assistant", MESSAGE))
        execution = await started(acme, orchestrator)
        async with asking(acme, api_url, acme.agent, execution_id=execution["id"]) as working:
            await working.finish(status="failed", error="No tests there.", code="x")

    assert call.result().is_error is True
    assert "ended as failed. No tests there." in call.result().content[0].model_dump()["text"]


@pytest.mark.parametrize("mode", [LEGACY, MODERN])
async def test_who_goes_away_before_the_answer_cancels_the_execution(
    acme: Tenant, api_url: str, orchestrator: FakeOrchestrator, mode: str
) -> None:
    async def call() -> None:
        async with connected(api_url, acme.environment, acme.api_key, mode=mode) as client:
            await client.call_tool("Assistant", MESSAGE)

    calling = asyncio.create_task(call())
    execution = await started(acme, orchestrator)
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)

    assert (await ended(acme, execution))["status"] == "cancelled"


async def test_an_execution_goes_on_when_it_is_the_server_that_ends(
    acme: Tenant, api_url: str, orchestrator: FakeOrchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        connected(api_url, acme.environment, acme.api_key) as client,
        asyncio.timeout(30),
        asyncio.TaskGroup() as group,
    ):
        call = group.create_task(client.call_tool("Assistant", MESSAGE))
        execution = await started(acme, orchestrator)
        # As uvicorn's signal handler does, to which the library of event streams listens.
        monkeypatch.setattr(AppStatus, "should_exit", True)

    found = (await acme.client.get(f"/executions/{execution['id']}")).json()
    assert (
        "goes on. Ask for its answer with the tool wait_for_execution" in call.result().content[0].model_dump()["text"]
    )
    assert found["cancel_requested_at"] is None


async def test_who_does_not_want_to_wait_asks_later(acme: Tenant, api_url: str, orchestrator: FakeOrchestrator) -> None:
    async with connected(api_url, acme.environment, acme.api_key) as client:
        first = await client.call_tool("Assistant", MESSAGE | {"wait_seconds": 0})
        execution = await started(acme, orchestrator)
        async with asking(acme, api_url, acme.agent, execution_id=execution["id"]) as working:
            await working.finish(response="It works.")
        later = await client.call_tool("wait_for_execution", {"execution_id": execution["id"]})

    assert first.structured_content is not None
    assert first.structured_content["execution_id"] == execution["id"]
    assert first.is_error is False
    assert later.content[0].model_dump()["text"] == "It works."


async def test_nobody_waits_for_what_somebody_else_has_started(acme: Tenant, globex: Tenant, api_url: str) -> None:
    of_others = [(await acme.start())["id"], (await globex.start())["id"], str(uuid4())]
    organization = f"/organizations/{acme.organization['id']}"
    key = await created(acme.client, f"{organization}/api-keys", {"name": "ci", "role": "developer"})
    async with connected(api_url, acme.environment, key["key"]) as client:
        results = [
            await client.call_tool("wait_for_execution", {"execution_id": one, "wait_seconds": 0}) for one in of_others
        ]

    texts = [result.content[0].model_dump()["text"] for result in results]
    assert texts == [f"You have started no execution {one} here." for one in of_others]


async def test_what_can_not_be_called_is_refused_and_starts_nothing(acme: Tenant, globex: Tenant, api_url: str) -> None:
    await add_agent(globex, "Secret plans")
    async with connected(api_url, acme.environment, acme.api_key) as client:
        results = [
            await client.call_tool("Secret_plans", MESSAGE),
            await client.call_tool("Assistant", {}),
            await client.call_tool("Assistant", MESSAGE | {"agent_id": globex.agent["id"]}),
            await client.call_tool("Assistant", {"message": "\x00"}),
        ]

    assert [result.is_error for result in results] == [True] * 4
    assert (await acme.client.get("/executions")).json() == []


async def test_two_agents_whose_names_look_alike_are_two_tools(acme: Tenant, api_url: str) -> None:
    first, second = [await add_agent(acme, name) for name in ("Ship it", "Ship-it!")]
    third = await add_agent(acme, "Ship_it")

    async with connected(api_url, acme.environment, acme.api_key) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]

    assert f"Ship_it-{first['id'][:8]}" in names
    assert f"Ship_it-{third['id'][:8]}" in names
    assert "Ship-it" in names
    assert second["name"] == "Ship-it!"


async def test_the_environment_of_somebody_else_does_not_exist(acme: Tenant, globex: Tenant, api_url: str) -> None:
    listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    organization = f"/organizations/{acme.organization['id']}"
    bank = await created(acme.client, "/projects", {"name": "Bank", "slug": "bank"})
    grant = {"role": "developer", "project_id": bank["id"]}
    banker = await created(acme.client, f"{organization}/api-keys", {"name": "banker"} | grant)
    viewer = await created(acme.client, f"{organization}/api-keys", {"name": "viewer", "role": "viewer"})
    path = f"/environments/{acme.environment['id']}/mcp"

    answers = [
        await globex.client.post(path, json=listing),
        await acme.client.post(path, json=listing, headers={"Authorization": f"Bearer {banker['key']}"}),
        await acme.client.post(path, json=listing, headers={"Authorization": f"Bearer {viewer['key']}"}),
        await acme.worker.post(path, json=listing),
        await acme.client.post(path, json=listing, headers={"Authorization": "Bearer nobody"}),
        await acme.client.post(path, json=listing, headers={"Idempotency-Key": "x"}),
        await acme.client.post(path, json=listing),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 403, 403, 401, 422, 200]
    assert "Assistant" in answers[-1].text


async def test_what_is_no_message_is_no_fault_of_the_server(acme: Tenant) -> None:
    path = f"/environments/{acme.environment['id']}/mcp"
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    nameless = b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": 3}}'
    anonymous = b'{"jsonrpc": "2.0", "id": null, "method": "tools/call", "params": {"name": "Assistant"}}'

    answers = [
        await acme.client.post(path, content=body, headers=headers)
        for body in (b"", b"[]", b"null", b"{", nameless, anonymous)
    ]

    assert [answer.status_code for answer in answers if answer.status_code >= 500] == []
    assert [answer.text for answer in answers[:-1] if "error" not in answer.text.lower()] == []
    assert (await acme.client.get("/executions")).json() == []


async def test_a_message_that_the_library_refuses_leaves_nothing_running(acme: Tenant) -> None:
    path = f"/environments/{acme.environment['id']}/mcp"
    call = {"method": "tools/call", "params": {"name": "Assistant", "arguments": MESSAGE}}

    refused = await acme.client.post(path, json={"jsonrpc": "1.0", "id": 1} | call)

    [execution] = (await acme.client.get("/executions")).json()
    assert "error" in refused.text
    assert (await ended(acme, execution))["status"] == "cancelled"


async def test_only_what_starts_something_stands_in_the_audit_log(
    acme: Tenant, api_url: str, test_database: TestDatabase
) -> None:
    async with connected(api_url, acme.environment, acme.api_key) as client:
        await client.list_tools()
        await client.call_tool("Nobody", MESSAGE)
        result = await client.call_tool("Assistant", MESSAGE | {"wait_seconds": 0})

    with psycopg.connect(test_database.superuser_url) as connection:
        entries = connection.execute(
            "SELECT action, resource_type, resource_id FROM audit_log WHERE route LIKE '%/mcp'"
        ).fetchall()
    assert result.structured_content is not None
    assert entries == [("executions:start", "executions", result.structured_content["execution_id"])]

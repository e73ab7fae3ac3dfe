"""What an execution used of models, as its end tells it: the server's own records, whatever its worker says."""

from typing import Any

import httpx
import pytest

from tests.tenants import Tenant
from tests.worker import Claimed, claimed

pytestmark = pytest.mark.integration


async def ask(worker: Claimed) -> httpx.Response:
    """A model turn that reads 15 tokens and writes 3."""
    asked = {"model": "scripted/script", "messages": [{"role": "user", "content": '[{"say":"hello there"}]'}]}
    return await worker.http.post("/llm/openai/v1/chat/completions", json=asked)


async def ended(tenant: Tenant, worker: Claimed) -> tuple[dict[str, Any], dict[str, Any]]:
    """The usage of the execution and of its last event."""
    path = f"/executions/{worker.execution_id}"
    execution = (await tenant.client.get(path)).json()
    events = (await tenant.client.get(f"{path}/events")).json()
    return execution["usage"], events[-1]["data"]["usage"]


async def test_a_failed_execution_tells_what_it_used_although_its_worker_does_not(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        await ask(worker)
        await ask(worker)
        await worker.finish(status="failed", error="It broke.", usage={"tool_calls": 1})

    told, event = await ended(acme, worker)
    assert told == event
    assert told == {"input_tokens": 30, "output_tokens": 6, "model_turns": 2, "tool_calls": 1, "cost_usd": 0}


async def test_a_worker_that_says_more_or_less_than_was_used_is_not_believed(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        await ask(worker)
        await worker.finish(usage={"input_tokens": 1, "output_tokens": 999_999, "model_turns": 50, "tool_calls": 2})

    told, _ = await ended(acme, worker)
    assert told == {"input_tokens": 15, "output_tokens": 3, "model_turns": 1, "tool_calls": 2, "cost_usd": 0}


async def test_a_cancelled_execution_tells_what_it_used(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        await ask(worker)
        await acme.client.delete(f"/executions/{worker.execution_id}")
        await worker.finish(status="cancelled")

    told, event = await ended(acme, worker)
    assert told == event
    assert told["input_tokens"] == 15

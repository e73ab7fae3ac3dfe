"""Executions that ask other agents, as a worker does it for them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.tenants import Tenant, client, created


async def add_agent(tenant: Tenant, name: str, **changes: Any) -> dict[str, Any]:
    """Another agent of the tenant, which may ask others unless `changes` say otherwise."""
    body = {
        "name": name,
        "environment_id": tenant.environment["id"],
        "llm_config": {"provider": "scripted", "model": "script"},
        "toolsets": ["agent"],
    }
    return await created(tenant.client, "/agents", body | changes)


@dataclass(frozen=True, slots=True)
class Asking:
    """An execution under way; `http` carries its token."""

    http: httpx.AsyncClient
    id: str
    fence: int
    agent: dict[str, Any]

    async def ask(self, agent: str, *, key: str = "call", **changes: Any) -> httpx.Response:
        """Have another agent carry something out; what the API answered."""
        body = {"fence": self.fence, "key": key, "agent": agent, "message": "Test it.", "context": {}}
        return await self.http.post(f"/worker/executions/{self.id}/children", json=body | changes)

    async def child(self, agent: str, *, key: str = "call", **changes: Any) -> dict[str, Any]:
        """The same, and it worked."""
        response = await self.ask(agent, key=key, **changes)
        assert response.status_code == 200, response.text
        child: dict[str, Any] = response.json()
        return child

    async def answer(self, child_id: str, *, seconds: float = 0) -> httpx.Response:
        """Ask how a child stands, and wait for its end."""
        path = f"/worker/executions/{self.id}/children/{child_id}"
        return await self.http.get(path, params={"wait_seconds": seconds})

    async def finish(self, **body: Any) -> None:
        """End this execution."""
        ended = {"fence": self.fence, "status": "completed"} | body
        (await self.http.post(f"/worker/executions/{self.id}/finish", json=ended)).raise_for_status()


@asynccontextmanager
async def asking(
    tenant: Tenant,
    api_url: str,
    agent: dict[str, Any],
    *,
    starter: httpx.AsyncClient | None = None,
    execution_id: str | None = None,
) -> AsyncIterator[Asking]:
    """An execution of the agent in the hands of a worker: a new one, which `starter` starts, or one there is."""
    if execution_id is None:
        body = {"agent_id": agent["id"], "input": {"message": "Release it.", "context": {"environment": "staging"}}}
        execution_id = (await created(starter or tenant.client, "/executions", body))["id"]
    claim = await tenant.claim(str(execution_id))
    async with client(api_url, claim["execution_token"]) as http:
        yield Asking(http, str(execution_id), claim["fence"], agent)

"""Tenants made over the REST API, as people make them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from control_plane.client import trusted

OPERATOR_KEY = "operator-key-of-the-tests-0123456789"
ENCRYPTION_KEY = "ZW5jcnlwdGlvbi1rZXktb2YtdGhlLXRlc3RzLTAxMjM="

JOINING = {
    "name": "worker-1",
    "version": "0.1.0",
    "python_version": "3.11.9",
    "prefect_version": "3.8.8",
    "platform": "Linux",
    "hostname": "machine-1",
    "slots": 4,
}
"""What a worker says of itself when it joins."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organization with one project, one environment and one agent (as the API returned them).

    `client` carries its API key; `worker` carries the session of a worker of its environment, which joined with
    `worker_key`. Paths are relative to `/api/v1`.
    """

    client: httpx.AsyncClient
    worker: httpx.AsyncClient
    api_key: str
    worker_key: str
    session: dict[str, Any]
    organization: dict[str, Any]
    project: dict[str, Any]
    environment: dict[str, Any]
    agent: dict[str, Any]

    async def start(self, message: str = "What time is it?", **context: Any) -> dict[str, Any]:
        """Start an execution of the agent; what the API answered."""
        body = {"agent_id": self.agent["id"], "input": {"message": message, "context": context}}
        return await created(self.client, "/executions", body)

    async def claim(self, execution_id: str, **request: Any) -> dict[str, Any]:
        """Claim an execution as a worker does; the claim."""
        response = await self.worker.post(
            f"/worker/executions/{execution_id}/claim", json={"worker": "worker-1"} | request
        )
        response.raise_for_status()
        claim: dict[str, Any] = response.json()
        return claim


def client(api_url: str, key: str) -> httpx.AsyncClient:
    """A client of the REST API with one credential."""
    return httpx.AsyncClient(
        base_url=f"{api_url}/api/v1",
        headers={"Authorization": f"Bearer {key}"},
        timeout=30,
        trust_env=False,
        verify=trusted(),
    )


async def created(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """POST; what was created. Raises if it was not."""
    response = await client.post(path, json=body)
    assert response.status_code == 201, response.text
    answer: dict[str, Any] = response.json()
    return answer


@dataclass(frozen=True, slots=True)
class Founded:
    """A tenant whose worker has not joined yet, as the API returned it: what outlives the server that made it."""

    api_key: str
    worker_key: str
    organization: dict[str, Any]
    project: dict[str, Any]
    environment: dict[str, Any]
    agent: dict[str, Any]


async def found_tenant(api_url: str, slug: str) -> Founded:
    """A new organization with everything that it takes to start executions."""
    async with client(api_url, OPERATOR_KEY) as operator:
        organization = await created(operator, "/organizations", {"name": slug.title(), "slug": slug})
        issued = await created(operator, f"/organizations/{organization['id']}/bootstrap", {"name": "tests"})
    async with client(api_url, issued["key"]) as member:
        project = await created(member, "/projects", {"name": "Shop", "slug": "shop"})
        environment = await created(
            member,
            "/environments",
            {
                "name": "Staging",
                "slug": "staging",
                "project_id": project["id"],
                "llm_override": {"provider": "scripted", "model": "script"},
            },
        )
        worker_key = await created(member, f"/environments/{environment['id']}/worker-keys", {"name": "worker-1"})
        agent = await created(
            member,
            "/agents",
            {
                "name": "Assistant",
                "environment_id": environment["id"],
                "llm_config": {"provider": "scripted", "model": "script"},
                "toolsets": ["clock", "files"],
                "policies": ["no_destructive_tools"],
            },
        )
    return Founded(
        api_key=issued["key"],
        worker_key=worker_key["key"],
        organization=organization,
        project=project,
        environment=environment,
        agent=agent,
    )


@asynccontextmanager
async def at_work(api_url: str, founded: Founded) -> AsyncIterator[Tenant]:
    """A tenant on a running server: its clients, and a worker that joins now."""
    async with client(api_url, founded.worker_key) as joining:
        session = await created(joining, f"/work-pools/{founded.environment['work_pool']}/start", JOINING)
    async with client(api_url, founded.api_key) as member, client(api_url, session["session_token"]) as worker:
        yield Tenant(
            client=member,
            worker=worker,
            api_key=founded.api_key,
            worker_key=founded.worker_key,
            session=session,
            organization=founded.organization,
            project=founded.project,
            environment=founded.environment,
            agent=founded.agent,
        )


@asynccontextmanager
async def create_tenant(api_url: str, slug: str) -> AsyncIterator[Tenant]:
    """A new organization at work."""
    async with at_work(api_url, await found_tenant(api_url, slug)) as tenant:
        yield tenant

"""The worker's side of the protocol, spoken by hand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.tenants import JOINING, Tenant, client


@dataclass(frozen=True, slots=True)
class Claimed:
    """An execution that a worker holds; `http` carries its execution token."""

    http: httpx.AsyncClient
    execution_id: str
    claim: dict[str, Any]

    @property
    def path(self) -> str:
        return f"/worker/executions/{self.execution_id}"

    async def report(self, *events: dict[str, Any], fence: int | None = None) -> httpx.Response:
        body = {"fence": self.claim["fence"] if fence is None else fence, "events": events}
        return await self.http.post(f"{self.path}/events", json=body)

    async def renew(self, *, fence: int | None = None) -> httpx.Response:
        return await self.http.post(
            f"{self.path}/lease", json={"fence": self.claim["fence"] if fence is None else fence}
        )

    async def finish(self, **body: Any) -> httpx.Response:
        return await self.http.post(
            f"{self.path}/finish", json={"fence": self.claim["fence"], "status": "completed"} | body
        )


def message(sequence: int, content: Any = None, **changes: Any) -> dict[str, Any]:
    """An event as a worker reports it."""
    return {
        "sequence": sequence,
        "type": "message",
        "data": {"role": "assistant", "content": f"message {sequence}" if content is None else content},
        "occurred_at": "2026-01-02T03:04:05Z",
    } | changes


@asynccontextmanager
async def claimed(tenant: Tenant, api_url: str, **request: Any) -> AsyncIterator[Claimed]:
    """A new execution in the hands of a worker."""
    execution = await tenant.start()
    claim = await tenant.claim(execution["id"], **request)
    async with client(api_url, claim["execution_token"]) as http:
        yield Claimed(http, execution["id"], claim)


async def events_of(tenant: Tenant, execution_id: str) -> list[dict[str, Any]]:
    """The first 500 events of an execution."""
    response = await tenant.client.get(f"/executions/{execution_id}/events", params={"limit": 500})
    response.raise_for_status()
    events: list[dict[str, Any]] = response.json()
    return events


async def join(api_url: str, credential: str, place: str, **changes: Any) -> httpx.Response:
    """Ask to join `worker-queues/{id}` or `work-pools/{name}`; what the API answered."""
    async with client(api_url, credential) as http:
        return await http.post(f"/{place}/start", json=JOINING | changes)


async def joined(api_url: str, credential: str, place: str, **changes: Any) -> dict[str, Any]:
    """Join; the session."""
    response = await join(api_url, credential, place, **changes)
    assert response.status_code == 201, response.text
    session: dict[str, Any] = response.json()
    return session

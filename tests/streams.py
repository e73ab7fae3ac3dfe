"""A reader of server-sent events that is stricter than the standard: it accepts our format and nothing else."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.tenants import Tenant

_EVENT = re.compile(r"id: (\d+)\nevent: ([a-z_]+)\ndata: (.+)")


@dataclass(frozen=True, slots=True)
class StreamedEvent:
    """One event as it was sent."""

    number: int
    type: str
    data: dict[str, Any]


@asynccontextmanager
async def opened(tenant: Tenant, execution_id: str, *, after: int = 0) -> AsyncIterator[httpx.Response]:
    """The open stream of an execution, from after an event on."""
    headers = {"Last-Event-ID": str(after)} if after else {}
    async with tenant.client.stream("GET", f"/executions/{execution_id}/stream", headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        yield response


async def events_in(response: httpx.Response) -> AsyncIterator[StreamedEvent]:
    """The events of an open stream as they arrive. Comments are passed over; anything else fails."""
    waiting = ""
    async for text in response.aiter_text():
        waiting += text
        *blocks, waiting = waiting.split("\n\n")
        for block in blocks:
            if block.startswith(": "):
                continue
            matched = _EVENT.fullmatch(block)
            assert matched, f"not an event of ours: {block!r}"
            yield StreamedEvent(int(matched[1]), matched[2], json.loads(matched[3]))


async def read(tenant: Tenant, execution_id: str, *, after: int = 0, most: int | None = None) -> list[StreamedEvent]:
    """What a reader gets who leaves after `most` events, or else when the server ends the stream."""
    found: list[StreamedEvent] = []
    async with opened(tenant, execution_id, after=after) as response:
        async for event in events_in(response):
            found.append(event)
            if len(found) == most:
                break
    return found

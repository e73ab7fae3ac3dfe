"""Readers of the run history, on the stage with two organizations and a real Prefect server."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.prefect_stage import Side, Stage


@dataclass(frozen=True, slots=True)
class Told:
    """An event of each organization, about its flow run and its work pool: the names of both."""

    acme: str
    globex: str


def reading(stage: Stage, key: str | None) -> httpx.AsyncClient:
    """The run history with a credential, or without any."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.AsyncClient(base_url=f"{stage.api_url}/run-history/api", headers=headers, timeout=30, trust_env=False)


@pytest.fixture
async def reader(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody of acme who may read everything there."""
    async with reading(stage, stage.acme.tenant.api_key) as http:
        yield http


@pytest.fixture
async def other_reader(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody of globex who may read everything there."""
    async with reading(stage, stage.globex.tenant.api_key) as http:
        yield http


@pytest.fixture
async def told(stage: Stage) -> Told:
    """Events as Prefect itself writes them."""
    return Told(await _tell(stage, stage.acme), await _tell(stage, stage.globex))


async def _tell(stage: Stage, side: Side) -> str:
    name = f"told.{uuid4().hex}.{side.canary}"
    event = {
        "id": str(uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": name,
        "resource": {"prefect.resource.id": f"prefect.flow-run.{side.ids['flow_run_id']}"},
        "related": [
            {
                "prefect.resource.id": f"prefect.work-pool.{side.ids['work_pool_id']}",
                "prefect.resource.role": "work-pool",
            }
        ],
        "payload": {},
    }
    await stage.recorded_event(event)
    return name


def since() -> dict[str, Any]:
    """The time in which everything here happened."""
    return {"since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}

"""Fifty secrets, each used and let slip in every way a tool has: they are found where they belong and nowhere else."""

import json
import logging
from base64 import b64encode
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import psycopg
import pytest

from flows import tool_runs
from flows.runtimes.protocol import Emit
from tests.conftest import TestDatabase
from tests.flows.prefect_api import PrefectApi
from tests.flows.stage import Stage, Tools, stage
from tests.tenants import Tenant, created
from tests.worker import events_of
from toolsets import Retryable, ToolContext, ToolFailed, Toolset, hookimpl
from toolsets.registry import Registry

pytestmark = pytest.mark.integration

CANARIES = {f"canary_{number}": f"canary/{number:02}+flies=" for number in range(50)}
FLOCKS = [[*CANARIES][start : start + 10] for start in range(0, len(CANARIES), 10)]
FORMS = [form for value in CANARIES.values() for form in (value, b64encode(value.encode()).decode())]

aviary = Toolset("aviary", description="Lets canaries fly.", secrets=[*CANARIES])


@aviary.tool(effect="write", max_output=100)
async def release(context: ToolContext, names: list[str]) -> dict[str, Any]:
    """Let some fly in a result."""
    values = [await context.secret(name) for name in names]
    await context.progress(f"they fly: {values}")
    logging.getLogger("aviary").warning("they fly: %s", values, exc_info=ValueError(values))
    (context.workspace / "nest").write_text(values[-1])
    return {"values": values, "at": f"https://example.com?key={values[0]}", "long": values * 20, values[1]: 1}


@aviary.tool(effect="read")
def lose(context: ToolContext, names: list[str]) -> None:
    """Let some fly in a failure."""
    raise Retryable(f"They flew: {[context.secret_sync(name) for name in names]}")


@aviary.tool(effect="write")
async def crash(context: ToolContext, names: list[str]) -> None:
    """Let one fly in a bug."""
    raise RuntimeError(await context.secret(names[0])) from ToolFailed(await context.secret(names[1]))


@aviary.tool(effect="read")
def find(context: ToolContext) -> str:
    """Find one again that was left in a file."""
    return (context.workspace / "nest").read_text()


class Plugin:
    @staticmethod
    @hookimpl
    def register_toolset() -> Toolset:
        return aviary


@pytest.fixture
async def on(acme: Tenant, prefect: PrefectApi, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """An execution whose toolset has fifty secrets."""
    registry = Registry([EntryPoint("aviary", "tests.flows.test_canaries:Plugin", "control_plane.toolsets")])
    monkeypatch.setattr("control_plane.installed_toolsets.service._registry", lambda: registry)
    monkeypatch.setattr(tool_runs, "FIRST_PAUSE_SECONDS", 0.001)
    for name, value in CANARIES.items():
        await created(acme.client, "/secrets", {"name": name, "value": value})
    staged = await stage(acme, prefect, monkeypatch, toolsets=["aviary"])
    monkeypatch.setattr("flows.work.Registry", lambda: registry)
    return staged


def dump(database: TestDatabase) -> str:
    """Everything that the database holds, as text."""
    with psycopg.connect(database.superuser_url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        rows = [connection.execute(f'SELECT t::text FROM "{table}" t'.encode()).fetchall() for (table,) in tables]
        files = connection.execute("SELECT convert_from(content, 'utf8') FROM artifacts").fetchall()
    return str(rows) + str(files)


def environments() -> bytes:
    """The environment variables of every process that we may look at, our siblings among them."""
    found = []
    for file in Path("/proc").glob("[0-9]*/environ"):
        try:
            found.append(file.read_bytes())
        except OSError:
            continue
    return b"\0".join(found)


async def test_canaries_are_found_nowhere_else(
    on: Stage, prefect: PrefectApi, caplog: pytest.LogCaptureFixture, test_database: TestDatabase
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    told_at_last: list[str] = []

    async def act(tools: Tools, _emit: Emit) -> str:
        for flock in FLOCKS:
            told.append(await tools["aviary_release"].call({"names": flock}))
            told.append(await tools["aviary_lose"].call({"names": flock}))
            told.append(await tools["aviary_crash"].call({"names": flock}))
        told_at_last.append(await tools["aviary_find"].call({}))
        return told[-1]

    on.runtime.act = act
    state = await on.play()

    execution = await on.read()
    events = await events_of(on.tenant, on.execution_id)
    kept = (await on.tenant.client.get(f"/executions/{on.execution_id}/artifacts", params={"limit": 200})).json()
    path = f"/organizations/{on.tenant.organization['id']}"
    audit = (await on.tenant.client.get(f"{path}/audit-log", params={"action": "secrets:release", "limit": 200})).json()
    everywhere = {
        "models": json.dumps([told, told_at_last]),
        "events": json.dumps([events, execution]),
        "logs": caplog.text,
        "prefect": prefect.everything() + str(state),
        "database": dump(test_database),
        "export": (await on.tenant.client.get(f"{path}/export")).text,
        "environments": environments().decode(errors="replace"),
    }
    assert execution["status"] == "completed"
    assert [json.loads(answer) for answer in told_at_last] == [{"result": "[secret canary_49]"}]
    assert len(kept) == len(FLOCKS)
    assert len(audit) == 200
    assert {entry["resource_id"] for entry in audit} <= CANARIES.keys()
    assert "[secret canary_0]" in everywhere["models"]
    assert "they fly: ['[secret canary_0]'" in everywhere["events"]
    assert "they fly: ['[secret canary_0]'" in everywhere["logs"]
    assert "[secret canary_0]" in everywhere["database"]
    assert [(place, form) for place, text in everywhere.items() for form in FORMS if form in text] == []

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import EntryPoint
from typing import Any

import httpx
import pytest

from control_plane.settings import Settings
from tests.tenants import Tenant, client, created
from tests.worker import Claimed
from toolsets.registry import Registry

pytestmark = pytest.mark.integration

VALUE = "canary-of-the-key"


@pytest.fixture(autouse=True)
def _bench_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry([EntryPoint("bench", "tests.flows.bench:Plugin", "control_plane.toolsets")])
    monkeypatch.setattr("control_plane.installed_toolsets.service._registry", lambda: registry)


@asynccontextmanager
async def holding(tenant: Tenant, api_url: str) -> AsyncIterator[Claimed]:
    """An execution of an agent with the toolsets `bench` and `clock`, in the hands of a worker."""
    body = {
        "name": "Carpenter",
        "environment_id": tenant.environment["id"],
        "llm_config": {"provider": "scripted", "model": "script"},
        "toolsets": ["bench", "clock"],
    }
    agent = await created(tenant.client, "/agents", body)
    execution = await created(tenant.client, "/executions", {"agent_id": agent["id"], "input": {"message": "Go."}})
    claim = await tenant.claim(execution["id"])
    async with client(api_url, claim["execution_token"]) as http:
        yield Claimed(http, execution["id"], claim)


async def ask(held: Claimed, **changes: Any) -> httpx.Response:
    body = {"fence": held.claim["fence"], "toolset": "bench", "name": "key"} | changes
    return await held.http.post(f"{held.path}/secrets", json=body)


async def released(tenant: Tenant) -> list[dict[str, Any]]:
    path = f"/organizations/{tenant.organization['id']}/audit-log"
    entries: list[dict[str, Any]] = (await tenant.client.get(path, params={"action": "secrets:release"})).json()
    return entries


async def test_a_declared_secret_is_released_and_each_time_audited(acme: Tenant, api_url: str) -> None:
    await created(acme.client, "/secrets", {"name": "key", "value": VALUE})
    async with holding(acme, api_url) as held:
        answers = [await ask(held), await ask(held)]

    assert [answer.json() for answer in answers] == [{"value": VALUE}] * 2
    assert answers[0].headers["Cache-Control"] == "no-store"
    entries = await released(acme)
    told = {
        (entry["actor"], entry["resource_type"], entry["resource_id"], entry["route"], entry["status"])
        for entry in entries
    }
    route = "/worker/executions/{execution_id}/secrets"
    assert len(entries) == 2
    assert told == {(f"execution_token:{held.execution_id}", "secrets", "key", route, 200)}


@pytest.mark.parametrize(
    "asked",
    [
        {"name": "database"},
        {"name": "database", "toolset": "clock"},
        {"name": "key", "toolset": "clock"},
        {"name": "key", "toolset": "forge"},
        {"name": "%"},
    ],
)
async def test_a_stolen_token_opens_no_other_secret(acme: Tenant, api_url: str, asked: dict[str, str]) -> None:
    await created(acme.client, "/secrets", {"name": "key", "value": VALUE})
    await created(acme.client, "/secrets", {"name": "database", "value": VALUE})
    async with holding(acme, api_url) as held:
        answer = await ask(held, **asked)

    assert answer.status_code == 422
    assert VALUE not in answer.text
    assert await released(acme) == []


async def test_what_is_not_declared_and_what_does_not_exist_look_the_same(acme: Tenant, api_url: str) -> None:
    await created(acme.client, "/secrets", {"name": "database", "value": VALUE})
    async with holding(acme, api_url) as held:
        undeclared, missing = await ask(held, name="database"), await ask(held, name="key")

    assert (undeclared.status_code, missing.status_code) == (422, 422)
    assert undeclared.json()["detail"].replace("database", "key") == missing.json()["detail"]


async def test_a_secret_of_another_environment_is_not_released(acme: Tenant, api_url: str) -> None:
    other = {"name": "Other", "slug": "other", "project_id": acme.project["id"]}
    environment = await created(acme.client, "/environments", other)
    await created(acme.client, "/secrets", {"name": "key", "value": VALUE, "environment_id": environment["id"]})
    async with holding(acme, api_url) as held:
        answer = await ask(held)

    assert answer.status_code == 422


async def test_a_mapping_decides_which_secret_it_is(acme: Tenant, api_url: str) -> None:
    await created(acme.client, "/secrets", {"name": "key", "value": "another one"})
    await created(acme.client, "/secrets", {"name": "house", "value": VALUE})
    await created(acme.client, "/toolset-configs", {"toolset": "bench", "secrets": {"key": "house"}})
    async with holding(acme, api_url) as held:
        answer = await ask(held)

    assert answer.json() == {"value": VALUE}
    assert [entry["resource_id"] for entry in await released(acme)] == ["house"]


async def test_nothing_is_released_to_a_claim_that_does_not_count_any_more(acme: Tenant, api_url: str) -> None:
    await created(acme.client, "/secrets", {"name": "key", "value": VALUE})
    async with holding(acme, api_url) as held:
        older = await ask(held, fence=held.claim["fence"] - 1)
        await held.finish()
        ended = await ask(held)

    assert [older.json()["code"], ended.json()["code"]] == ["lease_lost", "lease_lost"]
    assert await released(acme) == []


async def test_the_token_of_another_execution_opens_nothing(acme: Tenant, globex: Tenant, api_url: str) -> None:
    await created(acme.client, "/secrets", {"name": "key", "value": VALUE})
    async with holding(acme, api_url) as held, holding(globex, api_url) as foreign:
        path = f"{held.path}/secrets"
        body = {"fence": held.claim["fence"], "toolset": "bench", "name": "key"}
        answers = [
            await foreign.http.post(path, json=body),
            await acme.worker.post(path, json=body),
            await acme.client.post(path, json=body),
        ]

    assert [answer.status_code for answer in answers] == [404, 403, 403]


async def test_a_secret_that_can_not_be_decrypted_is_said_so_at_once(
    acme: Tenant, api_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with holding(acme, api_url) as held:
        await created(acme.client, "/secrets", {"name": "key", "value": VALUE})
        monkeypatch.setattr("control_plane.secrets.encryption.Keyring.open", _tampered)
        answer = await ask(held)

    assert (answer.status_code, answer.json()["code"]) == (409, "secret_unavailable")


def _tampered(*_: object) -> bytes:
    from control_plane.secrets.encryption import Tampered  # noqa: PLC0415 - as late as it is needed

    raise Tampered

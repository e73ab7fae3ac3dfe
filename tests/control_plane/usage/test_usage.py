import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from control_plane.auth.principals import ExecutionPrincipal
from control_plane.db import Database
from control_plane.llm.metering import Metering
from tests.conftest import TestDatabase
from tests.tenants import Tenant, client, created

pytestmark = pytest.mark.integration

NOON = datetime(2026, 3, 31, 12, 30, tzinfo=UTC)
ASKED = {"messages": [{"role": "user", "content": "How much?"}]}


async def call(
    database: Database, tenant: Tenant, moment: datetime = NOON, *, model: str = "scripted/script", tokens: int = 10
) -> str:
    """One call of a model by a new execution, at a moment of one's choice; the execution's id."""
    execution = await tenant.start()
    claim = await tenant.claim(execution["id"])
    caller = ExecutionPrincipal(
        UUID(tenant.organization["id"]), UUID(execution["id"]), claim["fence"], model="scripted/script"
    )
    async with Metering(database, clock=lambda: moment).call(caller, model=model, request=ASKED) as meter:
        meter.used(input_tokens=tokens, output_tokens=1, cached_input_tokens=2, cache_write_tokens=3)
    return str(execution["id"])


async def usage(http: httpx.AsyncClient, **asked: Any) -> list[dict[str, Any]]:
    """What there is from the beginning of 2026 on."""
    response = await http.get("/usage", params={"since": "2026-01-01T00:00:00Z"} | asked)
    assert response.status_code == 200, response.text
    rows: list[dict[str, Any]] = response.json()
    return rows


async def test_everything_is_summed_unless_it_is_told_apart(acme: Tenant, database: Database) -> None:
    await call(database, acme, tokens=10)
    await call(database, acme, model="own/model", tokens=20)

    [row] = await usage(acme.client)

    assert row == {
        "starts_at": None,
        "project_id": None,
        "environment_id": None,
        "agent_id": None,
        "provider": None,
        "model": None,
        "calls": 2,
        "failed_calls": 0,
        "unpriced_calls": 1,
        "input_tokens": 30,
        "output_tokens": 2,
        "cached_input_tokens": 4,
        "cache_write_tokens": 6,
        "cost_usd": 0,
    }


async def test_nothing_used_is_no_row(acme: Tenant) -> None:
    assert await usage(acme.client) == []


async def test_groups_and_stretches_of_time_are_told_apart(acme: Tenant, database: Database) -> None:
    await call(database, acme, NOON.replace(day=30, hour=23), tokens=1)
    await call(database, acme, NOON, tokens=2)
    await call(database, acme, NOON.replace(minute=59), model="own/model", tokens=4)
    await call(database, acme, NOON.replace(hour=13), model="own/model", tokens=8)

    by_model = await usage(acme.client, group_by=["model", "agent"])
    by_day = await usage(acme.client, bucket="day")
    by_hour = await usage(acme.client, bucket="hour", model="own/model")
    by_month = await usage(acme.client, bucket="month")

    assert {(row["model"], row["agent_id"], row["input_tokens"]) for row in by_model} == {
        ("scripted/script", acme.agent["id"], 3),
        ("own/model", acme.agent["id"], 12),
    }
    assert [(row["starts_at"], row["input_tokens"]) for row in by_day] == [
        ("2026-03-31T00:00:00Z", 14),
        ("2026-03-30T00:00:00Z", 1),
    ]
    assert [(row["starts_at"], row["input_tokens"]) for row in by_hour] == [
        ("2026-03-31T13:00:00Z", 8),
        ("2026-03-31T12:00:00Z", 4),
    ]
    assert [(row["starts_at"], row["input_tokens"]) for row in by_month] == [("2026-03-01T00:00:00Z", 15)]


async def test_a_stretch_of_time_is_of_whole_hours(acme: Tenant, database: Database) -> None:
    await call(database, acme, NOON, tokens=1)
    await call(database, acme, NOON.replace(hour=13), tokens=2)

    both = await usage(acme.client, since="2026-03-31T12:59:00Z", until="2026-03-31T13:01:00Z")
    first = await usage(acme.client, since="2026-03-31T12:59:00Z", until="2026-03-31T13:00:00Z")
    elsewhere = await usage(acme.client, since="2026-03-31T21:59:00+09:00", until="2026-03-31T22:00:00+09:00")

    assert [both[0]["input_tokens"], first[0]["input_tokens"], elsewhere[0]["input_tokens"]] == [3, 1, 1]


async def test_pages_lead_to_everything_once(acme: Tenant, database: Database) -> None:
    await call(database, acme, NOON.replace(day=29), tokens=1)
    await call(database, acme, NOON, tokens=2)
    await call(database, acme, NOON, model="own/model", tokens=4)
    asked = {"since": "2026-01-01T00:00:00Z", "bucket": "day", "group_by": "model", "limit": "1"}

    first = await acme.client.get("/usage", params=asked)
    second = await acme.client.get(first.links["next"]["url"])
    third = await acme.client.get(second.links["next"]["url"])

    assert sorted(page.json()[0]["input_tokens"] for page in (first, second, third)) == [1, 2, 4]
    assert third.json()[0]["input_tokens"] == 1
    assert "next" not in third.links


async def test_a_question_that_makes_no_sense_is_refused(acme: Tenant) -> None:
    questions = ["group_by=moon", "bucket=minute", "since=2026-01-01T00:00:00", "cursor=bm90LWEtY3Vyc29y", "limit=0"]

    answers = [await acme.client.get(f"/usage?{question}") for question in questions]

    assert [answer.status_code for answer in answers] == [422] * 5


async def test_usage_is_that_of_ones_own_organization(acme: Tenant, globex: Tenant, database: Database) -> None:
    await call(database, globex, tokens=99)

    assert await usage(acme.client, group_by="agent") == []
    assert await usage(acme.client, agent_id=globex.agent["id"]) == []


async def test_who_has_a_role_in_a_project_sees_what_that_project_used(
    acme: Tenant, database: Database, api_url: str
) -> None:
    await call(database, acme, tokens=7)
    other = await created(acme.client, "/projects", {"name": "Bank", "slug": "bank"})
    keys = f"/organizations/{acme.organization['id']}/api-keys"
    inside = await created(acme.client, keys, {"name": "in", "role": "viewer", "project_id": acme.project["id"]})
    outside = await created(acme.client, keys, {"name": "out", "role": "viewer", "project_id": other["id"]})

    async with client(api_url, inside["key"]) as viewer, client(api_url, outside["key"]) as stranger:
        seen, hidden = await usage(viewer), await usage(stranger)

    assert [row["input_tokens"] for row in seen] == [7]
    assert hidden == []


async def test_usage_stays_known_when_what_used_it_is_gone(
    acme: Tenant, database: Database, test_database: TestDatabase
) -> None:
    execution_id = await call(database, acme, tokens=7)
    await acme.client.delete(f"/executions/{execution_id}")
    await test_database.change("UPDATE executions SET status = 'cancelled', finished_at = now()")
    await acme.client.delete(f"/agents/{acme.agent['id']}")

    deleted = await acme.client.delete(f"/environments/{acme.environment['id']}")

    assert deleted.status_code == 204, deleted.text
    assert [row["agent_id"] for row in await usage(acme.client, group_by="agent")] == [acme.agent["id"]]


async def test_the_export_of_an_organization_has_its_budgets_and_what_it_used(acme: Tenant, database: Database) -> None:
    await created(acme.client, "/budgets", {"scope": "organization", "period": "month", "usd": 5})
    await call(database, acme, NOON, tokens=7)

    response = await acme.client.get(f"/organizations/{acme.organization['id']}/export")

    tables = {json.loads(line)["table"] for line in response.text.splitlines()}
    assert tables >= {"budgets", "budget_periods", "model_calls", "usage_hours"}


async def test_an_end_before_the_beginning_of_time_finds_nothing(acme: Tenant) -> None:
    response = await acme.client.get("/usage", params={"until": "0001-01-01T00:00:00Z", "agent_id": str(uuid4())})

    assert response.json() == []

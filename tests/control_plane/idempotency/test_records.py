"""What is stored of an answer, when, and for how long."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from sqlalchemy import func, select

from control_plane.db import Database
from control_plane.idempotency import KEPT, Claim, RecordedAnswer, forget_expired
from tests.conftest import TestDatabase
from tests.tenants import Tenant

pytestmark = pytest.mark.integration

PROJECT = {"name": "Second", "slug": "second"}
KEY = {"Idempotency-Key": "canary-of-the-idempotency-key"}


async def recorded(database: Database, tenant: Tenant) -> int | None:
    async with database.tenant(UUID(tenant.organization["id"])) as session:
        return await session.scalar(select(func.count()).select_from(RecordedAnswer))


async def age(test_database: TestDatabase, by: timedelta) -> None:
    """Make every record older."""
    await test_database.change("UPDATE recorded_answers SET created_at = created_at - %s", by)


def dump(url: str) -> str:
    """Everything that any table holds, as text."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        ).fetchall()
        return "\n".join(
            row for (table,) in tables for (row,) in connection.execute(f"SELECT t::text FROM {table} t".encode())
        )


def forms(secret: str) -> tuple[str, str]:
    """How a secret would show in a dump: in text, and in bytes."""
    return secret, secret.encode().hex()


async def test_a_crash_after_the_creation_and_before_the_record_leaves_neither(
    acme: Tenant, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: Any) -> None:
        raise RuntimeError("killed in between")

    with monkeypatch.context() as patch:
        patch.setattr(Claim, "record", crash)
        crashed = await acme.client.post("/projects", json=PROJECT, headers=KEY)
    between = (await acme.client.get("/projects", params={"slug": "second"})).json()

    repeated = await acme.client.post("/projects", json=PROJECT, headers=KEY)

    assert (crashed.status_code, between) == (500, [])
    assert repeated.status_code == 201
    assert len((await acme.client.get("/projects", params={"slug": "second"})).json()) == 1
    assert await recorded(database, acme) == 1


async def test_a_connection_that_is_cut_before_the_commit_leaves_neither(
    acme: Tenant, database: Database, test_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Claim.record

    async def cut(claim: Claim, response: Any) -> None:
        await record(claim, response)
        connection = await (await claim._session.connection()).get_raw_connection()
        pid = connection.driver_connection.info.backend_pid
        await test_database.change(f"SELECT pg_terminate_backend({pid}, 5000)")

    with monkeypatch.context() as patch:
        patch.setattr(Claim, "record", cut)
        lost = await acme.client.post("/projects", json=PROJECT, headers=KEY)
    nothing = await recorded(database, acme)

    repeated = await acme.client.post("/projects", json=PROJECT, headers=KEY)

    assert (lost.status_code, nothing) == (503, 0)
    assert repeated.status_code == 201
    assert "Idempotent-Replayed" not in repeated.headers


async def test_a_failed_request_is_not_recorded(acme: Tenant, database: Database) -> None:
    await acme.client.post("/projects", json={"name": "Taken", "slug": "shop"}, headers=KEY)

    assert await recorded(database, acme) == 0


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/organizations/{organization}/api-keys", {"name": "canary", "role": "developer"}),
        ("/environments/{environment}/worker-keys", {"name": "canary"}),
    ],
)
async def test_an_answer_with_a_secret_is_replayed_and_nothing_stored_shows_it(
    acme: Tenant, test_database: TestDatabase, path: str, body: dict[str, str]
) -> None:
    there = path.format(organization=acme.organization["id"], environment=acme.environment["id"])
    first = await acme.client.post(there, json=body, headers=KEY)

    second = await acme.client.post(there, json=body, headers=KEY)

    stored = dump(test_database.superuser_url)
    assert second.json()["key"] == first.json()["key"]
    assert first.json()["id"] in stored
    assert [form for form in (*forms(first.json()["key"]), *forms(KEY["Idempotency-Key"])) if form in stored] == []


async def test_a_record_that_was_changed_by_others_is_not_replayed(acme: Tenant, test_database: TestDatabase) -> None:
    await acme.client.post("/projects", json=PROJECT, headers=KEY)
    await test_database.change("UPDATE recorded_answers SET answer = set_byte(answer, 20, get_byte(answer, 20) # 1)")

    response = await acme.client.post("/projects", json=PROJECT, headers=KEY)

    assert response.status_code == 500


async def test_just_before_24_hours_an_answer_is_still_replayed(acme: Tenant, test_database: TestDatabase) -> None:
    await acme.client.post("/projects", json=PROJECT, headers=KEY)
    await age(test_database, KEPT - timedelta(minutes=1))

    response = await acme.client.post("/projects", json=PROJECT, headers=KEY)

    assert response.headers["Idempotent-Replayed"] == "true"


async def test_after_24_hours_a_key_is_new_again_whether_or_not_its_record_is_gone(
    acme: Tenant, database: Database, test_database: TestDatabase
) -> None:
    await acme.client.post("/projects", json=PROJECT, headers=KEY)
    await age(test_database, KEPT)

    response = await acme.client.post("/projects", json={"name": "Third", "slug": "third"}, headers=KEY)

    assert response.status_code == 201
    assert await recorded(database, acme) == 1


async def test_after_24_hours_the_key_of_an_organization_says_that_a_new_one_is_needed(
    operator: httpx.AsyncClient, test_database: TestDatabase
) -> None:
    body = {"name": "Initech", "slug": "initech"}
    await operator.post("/organizations", json=body, headers=KEY)
    await age(test_database, KEPT)

    response = await operator.post("/organizations", json=body | {"slug": "initech2"}, headers=KEY)

    assert response.status_code == 409
    assert response.json()["code"] == "idempotency_key_reused"
    assert "24 hours" in response.json()["detail"]


async def test_records_are_forgotten_after_24_hours_and_not_before(
    acme: Tenant, globex: Tenant, database: Database, test_database: TestDatabase
) -> None:
    await acme.client.post("/projects", json=PROJECT, headers=KEY)
    await age(test_database, KEPT)
    await acme.client.post("/projects", json=PROJECT | {"slug": "third"}, headers={"Idempotency-Key": "young"})
    await globex.client.post("/projects", json=PROJECT, headers=KEY)

    await forget_expired(database)

    assert await recorded(database, acme) == 1
    assert await recorded(database, globex) == 1

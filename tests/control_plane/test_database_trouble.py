import asyncio

import httpx
import pytest
from sqlalchemy import text

from control_plane.db import Database, sqlalchemy_url
from tests.conftest import TestDatabase
from tests.orchestrator import FakeOrchestrator
from tests.tenants import Tenant

pytestmark = pytest.mark.integration

CLOSE_ALL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid()"
)


async def disconnect(test_database: TestDatabase) -> None:
    """Close all connections, as a restart of the server does."""
    await test_database.change(CLOSE_ALL)


async def shut(test_database: TestDatabase) -> None:
    """Close all connections and let nobody in."""
    await test_database.change(
        f"UPDATE pg_database SET datallowconn = false WHERE datname = current_database(); {CLOSE_ALL}"
    )


async def test_no_request_stumbles_over_a_connection_that_the_database_has_closed(
    acme: Tenant, test_database: TestDatabase
) -> None:
    await asyncio.gather(*(acme.client.get("/agents") for _ in range(20)))
    await disconnect(test_database)

    answers = await asyncio.gather(*(acme.client.get("/agents") for _ in range(20)))

    assert [answer.status_code for answer in answers] == [200] * 20


async def test_a_database_that_does_not_answer_is_a_503_that_asks_to_come_again(
    acme: Tenant, test_database: TestDatabase
) -> None:
    await shut(test_database)

    response = await acme.client.get("/agents")

    assert response.status_code == 503
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Retry-After"] == "1"
    assert response.json()["code"] == "unavailable"
    assert "postgresql" not in response.text


async def test_readiness_is_refused_while_the_database_does_not_answer(
    api_url: str, test_database: TestDatabase
) -> None:
    await shut(test_database)
    async with httpx.AsyncClient(base_url=api_url, trust_env=False) as http:
        ready, alive = await http.get("/ready"), await http.get("/health")

    assert ready.status_code == 503
    assert ready.json()["status"] == "unavailable"
    assert "DATABASE_URL" in ready.json()["checks"]["database"]
    assert alive.status_code == 200


async def test_readiness_is_refused_while_the_database_is_not_migrated(
    api_url: str, test_database: TestDatabase
) -> None:
    await test_database.change("ALTER TABLE executions RENAME TO not_yet")
    async with httpx.AsyncClient(base_url=api_url, trust_env=False) as http:
        response = await http.get("/ready")

    assert response.status_code == 503
    assert "migrate" in response.json()["checks"]["database"]


async def test_without_the_orchestrator_the_server_is_ready_and_says_what_that_means(
    api_url: str, orchestrator: FakeOrchestrator
) -> None:
    orchestrator.down = True
    async with httpx.AsyncClient(base_url=api_url, trust_env=False) as http:
        response = await http.get("/ready")

    assert response.status_code == 200
    assert response.json()["checks"]["database"] == "ok"
    assert "Executions are accepted" in response.json()["checks"]["orchestrator"]


async def test_a_server_with_everything_is_ready(api_url: str) -> None:
    async with httpx.AsyncClient(base_url=api_url, trust_env=False) as http:
        response = await http.get("/ready")

    assert response.status_code == 200
    assert response.json()["checks"] == {"database": "ok", "orchestrator": "ok"}


async def test_an_error_rolls_the_transaction_back(database: Database) -> None:
    async def fail_after_a_change() -> None:
        async with database.tenant(None) as session:
            await session.execute(text("CREATE TEMP TABLE remembered ()"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_after_a_change()

    async with database.tenant(None) as session:
        assert await session.scalar(text("SELECT to_regclass('remembered')")) is None


@pytest.mark.parametrize("url", ["sqlite:///x.db", "mysql://a@b/c"])
def test_another_database_than_postgresql_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must be postgresql"):
        sqlalchemy_url(url)

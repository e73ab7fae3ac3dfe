"""An organization that has a row in every table, and ways to look at all tables there are."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from tests.conftest import TestDatabase
from tests.security.belongings import belongings
from tests.tenants import Tenant
from tests.worker import claimed, message


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of tenants as PostgreSQL's catalogue knows them, seen past every row policy."""

    url: str

    def names(self) -> set[str]:
        """All tables with an organization."""
        query = (
            "SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid WHERE relkind = 'r'"
            " AND relnamespace = 'public'::regnamespace AND attname = 'organization_id'"
        )
        with psycopg.connect(self.url) as connection:
            return {name for (name,) in connection.execute(query).fetchall()}

    def count(self, organization_id: str) -> dict[str, int]:
        """How many rows of an organization each of them has."""
        query = sql.SQL("SELECT count(*) FROM {} WHERE organization_id = %s")
        with psycopg.connect(self.url) as connection:
            found = {
                name: connection.execute(query.format(sql.Identifier(name)), [UUID(organization_id)]).fetchone()
                for name in self.names()
            }
        return {name: row[0] for name, row in found.items() if row is not None}


@pytest.fixture
def tables(test_database: TestDatabase) -> Tables:
    return Tables(test_database.superuser_url)


@pytest.fixture
def fill(api_url: str) -> Callable[[Tenant], object]:
    """Gives an organization at least one row in every table."""

    async def filled(tenant: Tenant) -> None:
        await belongings(tenant)
        once = {"Idempotency-Key": "once"}
        answer = await tenant.client.post("/projects", json={"name": "Once", "slug": "once"}, headers=once)
        answer.raise_for_status()
        async with claimed(tenant, api_url) as worker:
            await worker.report(message(1))

    return filled

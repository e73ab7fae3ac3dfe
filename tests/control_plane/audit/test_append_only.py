"""Nobody who works through the application changes what the audit log says: PostgreSQL itself refuses."""

from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from control_plane.db import APPLICATION_ROLE, Database
from tests.conftest import TestDatabase
from tests.tenants import Tenant

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET actor = 'somebody else'",
        "UPDATE audit_log SET status = status",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "INSERT INTO audit_log SELECT * FROM audit_log ON CONFLICT (id) DO UPDATE SET actor = 'somebody else'",
        "DROP TABLE audit_log",
        "ALTER TABLE audit_log DISABLE ROW LEVEL SECURITY",
    ],
)
async def test_an_organizations_own_entries_can_not_be_changed_or_removed(
    acme: Tenant, database: Database, statement: str
) -> None:
    with pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
        async with database.tenant(UUID(acme.organization["id"])) as session:
            await session.execute(text(statement))


def test_the_application_may_read_and_add_and_nothing_else(test_database: TestDatabase) -> None:
    with psycopg.connect(test_database.superuser_url) as connection:
        found = connection.execute(
            "SELECT privilege_type FROM information_schema.table_privileges"
            " WHERE table_name = 'audit_log' AND grantee = %s ORDER BY 1",
            [APPLICATION_ROLE],
        ).fetchall()

    assert found == [("INSERT",), ("SELECT",)]


async def test_no_entry_is_added_to_the_log_of_another_organization(acme: Tenant, database: Database) -> None:
    columns = "id, actor, action, method, route, resource_type, request_id, status"
    copy = (
        f"INSERT INTO audit_log (organization_id, {columns}) SELECT :other, gen_random_uuid(), {columns[4:]}"
        " FROM audit_log LIMIT 1"
    )

    with pytest.raises(DBAPIError, match="row-level security"):
        async with database.tenant(UUID(acme.organization["id"])) as session:
            await session.execute(text(copy), {"other": uuid4()})


async def test_the_log_goes_with_its_organization_and_no_other_does(
    acme: Tenant, globex: Tenant, test_database: TestDatabase
) -> None:
    await test_database.change("DELETE FROM executions WHERE organization_id = %s", acme.organization["id"])
    await test_database.change("DELETE FROM agents WHERE organization_id = %s", acme.organization["id"])
    await test_database.change("DELETE FROM environments WHERE organization_id = %s", acme.organization["id"])

    await test_database.change("DELETE FROM organizations WHERE id = %s", acme.organization["id"])

    with psycopg.connect(test_database.superuser_url) as connection:
        left = connection.execute("SELECT DISTINCT organization_id::text FROM audit_log").fetchall()
    assert left == [(globex.organization["id"],)]

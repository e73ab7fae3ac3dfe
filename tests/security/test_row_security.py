"""What PostgreSQL itself guarantees, read from its catalogue: no code of ours is trusted here."""

from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from control_plane.api import metadata
from control_plane.db import Database
from migrations.tenancy import APPLICATION_ROLE, SYSTEM_ROLE
from tests.asking import add_agent
from tests.conftest import TestDatabase
from tests.tenants import Tenant, created
from tests.worker import claimed, message

pytestmark = pytest.mark.integration

TABLES = sorted(metadata.tables)
OUTSIDE = {
    "abandoned_work_pools": "(id, work_pool) VALUES (gen_random_uuid(), 'env-gone-staging')",
    "browser_sessions": (
        "(id, hash, credential_hash, expires_at) VALUES (gen_random_uuid(), sha256(random()::text::bytea), '', now())"
    ),
}
"""What belongs to no organization, and is seen in none; and a row of it."""
NOT_OF_A_TENANT = {"alembic_version", "organizations", *OUTSIDE}
"""Which revision the schema is at; and the tenants themselves, whose own `id` is what others call organization_id."""


def rows(url: str, query: str, *parameters: object) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode(), parameters).fetchall()


def test_every_table_is_known_to_this_test(test_database: TestDatabase) -> None:
    found = rows(
        test_database.superuser_url,
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
    )

    assert {name for (name,) in found} == {*TABLES, "alembic_version"}


def test_every_tenant_table_names_its_organization_and_none_may_be_missing(test_database: TestDatabase) -> None:
    found = rows(
        test_database.superuser_url,
        "SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid WHERE relkind = 'r'"
        " AND relnamespace = 'public'::regnamespace AND attname = 'organization_id' AND attnotnull",
    )

    assert {name for (name,) in found} == set(TABLES) - NOT_OF_A_TENANT


def test_every_tenant_table_forces_row_security_on_everybody(test_database: TestDatabase) -> None:
    found = rows(
        test_database.superuser_url,
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        " AND relrowsecurity AND relforcerowsecurity",
    )

    assert {name for (name,) in found} == set(TABLES)


def test_every_table_has_one_policy_for_the_application_and_it_checks_writes_as_well(
    test_database: TestDatabase,
) -> None:
    found = rows(
        test_database.superuser_url,
        "SELECT tablename, qual = with_check, qual LIKE '%%app.organization_id%%', cmd FROM pg_policies"
        " WHERE %s = ANY (roles) ORDER BY tablename",
        APPLICATION_ROLE,
    )

    assert found == [(table, True, True, "ALL") for table in TABLES]


def test_no_policy_speaks_for_anybody_but_the_two_roles_and_the_system_only_reads(test_database: TestDatabase) -> None:
    found = rows(test_database.superuser_url, "SELECT DISTINCT roles::text[], cmd FROM pg_policies")

    assert sorted(map(repr, found)) == sorted(map(repr, [([APPLICATION_ROLE], "ALL"), ([SYSTEM_ROLE], "SELECT")]))


def test_every_reference_between_tenant_tables_stays_inside_the_organization(test_database: TestDatabase) -> None:
    crossing = rows(
        test_database.superuser_url,
        "SELECT conname FROM pg_constraint WHERE contype = 'f' AND confrelid <> 'organizations'::regclass"
        " AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY (conkey)"
        " AND attname = 'organization_id')",
    )

    assert crossing == []


def test_the_login_of_the_application_is_nobody_special(test_database: TestDatabase) -> None:
    special = rows(
        test_database.url,
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication FROM pg_roles"
        " WHERE rolname = current_user",
    )
    owned = rows(test_database.url, "SELECT relname FROM pg_class WHERE relowner = current_user::regrole")
    member_of = rows(
        test_database.url, "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = current_user::regrole"
    )

    assert special == [(False, False, False, False, False)]
    assert owned == []
    assert member_of == [(APPLICATION_ROLE,)]


@pytest.mark.parametrize("role", [APPLICATION_ROLE, SYSTEM_ROLE])
def test_neither_role_can_log_in_or_pass_row_security_by(test_database: TestDatabase, role: str) -> None:
    found = rows(
        test_database.superuser_url,
        "SELECT rolcanlogin, rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname = %s",
        role,
    )

    assert found == [(False, False, False, False)]


def test_the_application_can_not_become_the_system(test_database: TestDatabase) -> None:
    with psycopg.connect(test_database.url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(SYSTEM_ROLE)))


def test_the_login_can_do_nothing_before_it_enters_the_role_of_the_application(test_database: TestDatabase) -> None:
    with psycopg.connect(test_database.url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT FROM organizations")


async def _team_up(tenant: Tenant) -> None:
    member = await add_agent(tenant, "Member")
    team = {"name": "own", "environment_id": tenant.environment["id"], "leader_agent_id": tenant.agent["id"]}
    await created(tenant.client, "/teams", team | {"members": [{"agent_id": member["id"]}]})


@pytest.fixture
async def full(acme: Tenant, api_url: str) -> Tenant:
    """An organization with at least one row in every table."""
    policy = {"name": "own", "module": 'package own\n\nimport rego.v1\n\ndeny contains "no" if false\n'}
    response = await acme.client.post("/policies", json=policy, headers={"Idempotency-Key": "one"})
    response.raise_for_status()
    secret = await acme.client.post("/secrets", json={"name": "openweather", "value": "x"})
    secret.raise_for_status()
    path = f"/organizations/{acme.organization['id']}"
    await created(acme.client, f"{path}/roles", {"name": "own", "permissions": ["agents:read"]})
    await created(acme.client, f"{path}/members", {"name": "A", "email": "a@b.c", "grants": [{"role": "own"}]})
    await created(acme.client, f"{path}/service-accounts", {"name": "ci"})
    await created(acme.client, "/policy-bindings", {"policy": "own", "scope": "organization"})
    await created(acme.client, "/budgets", {"scope": "organization", "period": "month", "tokens": 1_000_000})
    await created(acme.client, "/toolset-configs", {"toolset": "files"})
    await created(acme.client, "/model-providers", {"name": "own", "kind": "openai", "secret": "openweather"})
    await created(acme.client, "/model-aliases", {"name": "own", "models": ["own/gpt"]})
    await _team_up(acme)
    async with claimed(acme, api_url) as worker:
        await worker.report(message(1))
        kept = await worker.http.post(
            f"{worker.path}/artifacts?fence=1&key=1&name=1&media_type=text/plain", content=b"1"
        )
        kept.raise_for_status()
        chat = {"model": "scripted/script", "messages": [{"role": "user", "content": '[{"say": "hello"}]'}]}
        (await worker.http.post("/llm/openai/v1/chat/completions", json=chat)).raise_for_status()
    return acme


@pytest.mark.parametrize("table", sorted(OUTSIDE))
async def test_what_belongs_to_no_organization_is_neither_seen_nor_written_in_one(
    full: Tenant, database: Database, test_database: TestDatabase, table: str
) -> None:
    await test_database.change(f"INSERT INTO {table} {OUTSIDE[table]}")

    async with database.tenant(None) as session:
        outside = await session.scalar(text(f"SELECT count(*) FROM {table}"))
    async with database.tenant(UUID(full.organization["id"])) as session:
        inside = await session.scalar(text(f"SELECT count(*) FROM {table}"))
    with pytest.raises(DBAPIError, match="row-level security"):
        async with database.tenant(UUID(full.organization["id"])) as session:
            await session.execute(text(f"INSERT INTO {table} {OUTSIDE[table]}"))

    assert (outside, inside) == (1, 0)


@pytest.mark.parametrize("table", sorted(set(TABLES) - OUTSIDE.keys()))
async def test_without_an_organization_a_table_is_empty(full: Tenant, database: Database, table: str) -> None:
    async with database.tenant(None) as session:
        outside = await session.scalar(text(f"SELECT count(*) FROM {table}"))
    async with database.tenant(UUID(full.organization["id"])) as session:
        inside = await session.scalar(text(f"SELECT count(*) FROM {table}"))

    assert outside == 0
    assert inside is not None
    assert inside > 0


@pytest.mark.parametrize("table", TABLES)
async def test_in_another_organization_a_table_is_empty(full: Tenant, database: Database, table: str) -> None:
    async with database.tenant(uuid4()) as session:
        seen = await session.scalar(text(f"SELECT count(*) FROM {table}"))

    assert seen == 0


@pytest.mark.parametrize("table", sorted(set(TABLES) - NOT_OF_A_TENANT))
async def test_no_row_is_written_for_another_organization(
    full: Tenant, database: Database, test_database: TestDatabase, table: str
) -> None:
    (columns,) = rows(
        test_database.superuser_url,
        "SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns WHERE table_name = %s"
        " AND table_schema = 'public' AND column_name <> 'organization_id'",
        table,
    )
    copy = f"INSERT INTO {table} (organization_id, {columns[0]}) SELECT :other, {columns[0]} FROM {table} LIMIT 1"

    with pytest.raises(DBAPIError, match="row-level security"):
        async with database.tenant(UUID(full.organization["id"])) as session:
            await session.execute(text(copy), {"other": uuid4()})


@pytest.mark.parametrize(
    "table", ["projects", "environments", "agents", "policies", "secrets", "secret_values", "executions", "credentials"]
)
async def test_no_row_is_given_away_to_another_organization(full: Tenant, database: Database, table: str) -> None:
    with pytest.raises(DBAPIError, match="row-level security"):
        async with database.tenant(UUID(full.organization["id"])) as session:
            await session.execute(text(f"UPDATE {table} SET organization_id = :other"), {"other": uuid4()})


@pytest.mark.parametrize("table", ["agent_versions", "audit_log", "policy_versions", "events"])
async def test_what_has_been_recorded_is_never_changed(full: Tenant, database: Database, table: str) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with database.tenant(UUID(full.organization["id"])) as session:
            await session.execute(text(f"UPDATE {table} SET created_at = now()"))


async def test_nothing_of_a_tenant_stays_on_a_connection(full: Tenant, test_database: TestDatabase) -> None:
    single = Database(test_database.url, pool_size=1)
    async with single.tenant(UUID(full.organization["id"])) as session:
        await session.execute(text("SELECT 1"))

    async with single.engine.connect() as connection:
        state = (
            await connection.execute(
                text("SELECT current_user = session_user, current_setting('app.organization_id', true)")
            )
        ).one()

    await single.close()
    assert tuple(state) == (True, "")

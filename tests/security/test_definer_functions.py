"""The functions that see across organizations: which there are, who may call them, and what they give away."""

from uuid import UUID

import psycopg
import pytest

from control_plane.auth.credentials import Hasher
from control_plane.settings import Settings
from migrations.tenancy import APPLICATION_ROLE, SYSTEM_ROLE
from tests.conftest import TestDatabase
from tests.tenants import Tenant

pytestmark = pytest.mark.integration

AS_APPLICATION = f"-c role={APPLICATION_ROLE}"
FUNCTIONS = [
    "all_organizations",
    "authenticate",
    "executions_to_attend",
    "model_calls_to_settle",
    "organizations_with_expired_answers",
    "recognise_member",
    "unprovisioned_environments",
    "work_pool_is_abandoned",
]


def rows(url: str, query: str, *parameters: object, options: str = "") -> list[tuple[object, ...]]:
    with psycopg.connect(url, options=options) as connection:
        return connection.execute(query.encode(), parameters).fetchall()


def columns(url: str, call: str, *parameters: object) -> list[str]:
    with psycopg.connect(url, options=AS_APPLICATION) as connection:
        description = connection.execute(f"SELECT * FROM {call}".encode(), parameters).description
        assert description is not None
        return [column.name for column in description]


def test_these_functions_run_as_the_system_and_no_others_do(test_database: TestDatabase) -> None:
    found = rows(
        test_database.superuser_url,
        "SELECT proname, proowner::regrole::text, proconfig::text[] FROM pg_proc WHERE prosecdef"
        " AND pronamespace = 'public'::regnamespace ORDER BY proname",
    )

    assert found == [(name, SYSTEM_ROLE, ["search_path=public, pg_temp"]) for name in FUNCTIONS]


def test_only_the_application_may_call_them(test_database: TestDatabase) -> None:
    found = rows(
        test_database.superuser_url,
        "SELECT DISTINCT grantee FROM information_schema.routine_privileges WHERE routine_schema = 'public'"
        " AND privilege_type = 'EXECUTE'",
    )

    assert {name for (name,) in found} == {APPLICATION_ROLE, SYSTEM_ROLE}


def test_the_system_owns_no_table_and_can_create_nothing(test_database: TestDatabase) -> None:
    owned = rows(test_database.superuser_url, "SELECT relname FROM pg_class WHERE relowner = %s::regrole", SYSTEM_ROLE)
    can_create = rows(test_database.superuser_url, "SELECT has_schema_privilege(%s, 'public', 'CREATE')", SYSTEM_ROLE)

    assert owned == []
    assert can_create == [(False,)]


def test_the_system_can_write_no_table(test_database: TestDatabase) -> None:
    found = rows(
        test_database.superuser_url,
        "SELECT DISTINCT privilege_type FROM information_schema.column_privileges WHERE grantee = %s"
        " UNION SELECT privilege_type FROM information_schema.table_privileges WHERE grantee = %s",
        SYSTEM_ROLE,
        SYSTEM_ROLE,
    )

    assert found == [("SELECT",)]


async def test_authenticate_answers_for_the_one_credential_that_was_presented(
    acme: Tenant, globex: Tenant, settings: Settings, test_database: TestDatabase
) -> None:
    presented = Hasher(settings.secret_key.get_secret_value())(acme.api_key)

    found = rows(
        test_database.url, "SELECT organization_id, kind FROM authenticate(%s)", presented, options=AS_APPLICATION
    )

    assert found == [(UUID(acme.organization["id"]), "api_key")]


async def test_authenticate_answers_nothing_for_an_unknown_credential(
    acme: Tenant, test_database: TestDatabase
) -> None:
    assert rows(test_database.url, "SELECT * FROM authenticate(%s)", b"unknown", options=AS_APPLICATION) == []
    assert rows(test_database.url, "SELECT * FROM authenticate(NULL)", options=AS_APPLICATION) == []


def test_authenticate_gives_away_no_hash_and_no_prompt(test_database: TestDatabase) -> None:
    given = columns(test_database.url, "authenticate(%s)", b"unknown")

    assert given == [
        "id",
        "organization_id",
        "kind",
        "name",
        "environment_id",
        "session_id",
        "worker_queue_id",
        "draining",
        "execution_id",
        "fence",
        "model",
        "grants",
        "use_unnoted",
    ]


def test_recognising_a_member_gives_away_no_address_and_no_subject(test_database: TestDatabase) -> None:
    given = columns(test_database.url, "recognise_member(%s, %s, %s)", "issuer", "subject", None)

    assert given == ["id", "organization_id", "slug", "name", "invited", "grants"]


@pytest.mark.parametrize("call", ["executions_to_attend(10)", "unprovisioned_environments()"])
def test_the_reconciler_learns_ids_and_nothing_else(test_database: TestDatabase, call: str) -> None:
    assert columns(test_database.url, call) == ["organization_id", "id"]


def test_who_forgets_expired_answers_learns_whose_they_are_and_nothing_else(test_database: TestDatabase) -> None:
    assert columns(test_database.url, "organizations_with_expired_answers()") == ["organizations_with_expired_answers"]


def test_the_operator_learns_what_organizations_are_called_and_nothing_else(test_database: TestDatabase) -> None:
    assert columns(test_database.url, "all_organizations()") == ["id", "name", "slug", "created_at", "updated_at"]


def test_whoever_creates_an_environment_learns_whether_a_work_pool_is_abandoned_and_nothing_else(
    test_database: TestDatabase,
) -> None:
    assert columns(test_database.url, "work_pool_is_abandoned(%s)", "env-acme-staging") == ["work_pool_is_abandoned"]

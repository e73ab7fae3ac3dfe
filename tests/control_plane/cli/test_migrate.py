import psycopg
import pytest

from control_plane.cli import migrate
from control_plane.cli.failures import Failure
from tests.conftest import TestDatabase

pytestmark = pytest.mark.integration


def test_a_database_of_ones_own_is_migrated_by_its_owner_and_used_by_the_api_login(
    empty_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database.url)
    monkeypatch.setenv("CONTROL_PLANE_MIGRATION_DATABASE_URL", empty_database.owner_url)

    migrate.upgrade()

    with psycopg.connect(empty_database.url) as connection:
        connection.execute("SET ROLE control_plane_app")
        assert connection.execute("SELECT count(*) FROM organizations").fetchone() == (0,)


def test_without_a_database_it_says_what_to_set() -> None:
    with pytest.raises(Failure, match="DATABASE_URL is not set"):
        migrate.upgrade()

"""The roles that docs/settings.md has people make are enough, and no more than that."""

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

import migrations
from control_plane.cli.migrate import upgrade
from control_plane.db import Database
from control_plane.embedded.postgres import Postgres
from tests.docs.pages import blocks

pytestmark = pytest.mark.integration

[STATEMENTS] = blocks("docs/settings.md", "sql")
EXPORTS = dict(
    line.removeprefix("export ").split("=", 1) for line in blocks("docs/settings.md", "sh")[0].splitlines()[:2]
)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a new server on which a superuser has typed what the page says."""
    folder = tmp_path_factory.mktemp("own")
    server = Postgres.start(folder / "data", log=folder / "log", password="of-a-superuser", durable=False)
    try:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            for statement in STATEMENTS.splitlines():
                connection.execute(statement.encode())
        yield server.port
    finally:
        server.stop()


@pytest.fixture
def exported(port: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables of the page, set, with the port of this server."""
    urls = {name: make_url(url).set(port=port).render_as_string(hide_password=False) for name, url in EXPORTS.items()}
    for name, url in urls.items():
        monkeypatch.setenv(name, url)
    return urls


async def test_the_api_can_work_with_the_login_that_owns_nothing(exported: dict[str, str]) -> None:
    upgrade()
    upgrade()

    database = Database(exported["DATABASE_URL"], pool_size=1)
    try:
        async with database.tenant(None) as session:
            role = await session.scalar(text("SELECT current_user"))
            seen = await session.scalar(text("SELECT count(*) FROM organizations"))
    finally:
        await database.close()

    assert (role, seen) == ("control_plane_app", 0)


def test_that_login_can_neither_create_nor_read_anything_by_itself(exported: dict[str, str]) -> None:
    upgrade()

    with psycopg.connect(exported["DATABASE_URL"], autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE mine (id integer)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT FROM executions")


async def test_one_login_may_do_both(exported: dict[str, str]) -> None:
    owner = exported["CONTROL_PLANE_MIGRATION_DATABASE_URL"]
    migrations.upgrade(owner)

    database = Database(owner, pool_size=1)
    try:
        async with database.tenant(None) as session:
            role = await session.scalar(text("SELECT current_user"))
    finally:
        await database.close()

    assert role == "control_plane_app"

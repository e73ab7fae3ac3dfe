"""The database's schema, as Alembic revisions, and how to bring a database up to date."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from control_plane.db import APPLICATION_ROLE, sqlalchemy_url

_LOCK = 7_777_001
"""Any constant: two processes that migrate the same database at once wait for each other on it."""


def upgrade(url: str, *, grant_to: str | None = None, revision: str = "head") -> None:
    """Bring the database at `url` to `revision`. All or nothing; safe to repeat and to run twice at once.

    The login in `url` owns the tables and needs the right to create roles the first time. `grant_to` names the login
    that the API server uses; it becomes a member of the application role.

    Raises `sqlalchemy.exc.DBAPIError` if the database can't be reached or the login lacks a right.
    """
    engine = create_engine(sqlalchemy_url(url))
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            config = configuration()
            if not _is_at(connection, config, revision):
                config.attributes["connection"] = connection
                command.upgrade(config, revision)
            if grant_to:
                quoted = connection.dialect.identifier_preparer.quote(grant_to)
                connection.execute(text(f"GRANT {APPLICATION_ROLE} TO {quoted}"))
    finally:
        engine.dispose()


def _is_at(connection: Connection, config: Config, revision: str) -> bool:
    """Whether there is nothing to do: quicker to find out than by running Alembic, which imports all models."""
    wanted = ScriptDirectory.from_config(config).get_revision(revision).revision
    return MigrationContext.configure(connection).get_current_revision() == wanted


def configuration() -> Config:
    """Alembic's configuration, without a file, so that it works from an installed wheel."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config

"""Revision 0004 takes along what there is, and gives it back."""

from collections.abc import Callable

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

import migrations
from control_plane.db import sqlalchemy_url
from tests.conftest import TestDatabase

pytestmark = pytest.mark.integration

ACME = "10000000-0000-0000-0000-000000000000"
AGENT = "20000000-0000-0000-0000-000000000000"
BEFORE = f"""
INSERT INTO organizations (id, name, slug) VALUES ('{ACME}', 'Acme', 'acme');
INSERT INTO projects (id, organization_id, name, slug) VALUES (gen_random_uuid(), '{ACME}', 'Shop', 'shop');
INSERT INTO environments (id, organization_id, project_id, name, slug, work_pool)
  SELECT gen_random_uuid(), '{ACME}', id, 'Staging', 'staging', 'env-acme-staging' FROM projects;
INSERT INTO agents (id, organization_id, project_id, environment_id, name, version)
  SELECT '{AGENT}', '{ACME}', project_id, id, 'Assistant', 1 FROM environments;
INSERT INTO agent_versions
  (organization_id, agent_id, version, description, instructions, agent_type, llm_config, toolsets, policies)
  VALUES ('{ACME}', '{AGENT}', 1, '', '', 'agno', '{{}}', '[]', '[]');
"""
DELETED_AND_MADE_AGAIN = """
UPDATE agents SET deleted_at = now();
INSERT INTO agents (id, organization_id, project_id, environment_id, name, version)
  SELECT gen_random_uuid(), organization_id, project_id, environment_id, name, 1 FROM agents;
"""


@pytest.fixture
def earlier(empty_database: TestDatabase) -> TestDatabase:
    """A database at the revision before, with an agent."""
    migrate(empty_database, command.upgrade, "0003")
    run(empty_database, BEFORE)
    return empty_database


def migrate(database: TestDatabase, direction: Callable[[Config, str], None], revision: str) -> None:
    """As the login that owns the tables, which row security binds like everybody."""
    engine = create_engine(sqlalchemy_url(database.owner_url))
    with engine.begin() as connection:
        config = migrations.configuration()
        config.attributes["connection"] = connection
        direction(config, revision)
    engine.dispose()


def run(database: TestDatabase, statements: str) -> None:
    with psycopg.connect(database.superuser_url) as connection:
        connection.execute(statements.encode())


def rows(database: TestDatabase, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database.superuser_url) as connection:
        return connection.execute(query.encode()).fetchall()


def test_every_version_gets_the_name_of_its_agent(earlier: TestDatabase) -> None:
    migrate(earlier, command.upgrade, "0004")

    assert rows(earlier, "SELECT name, version FROM agent_versions") == [("Assistant", 1)]


def test_going_back_keeps_a_deleted_agent_under_a_name_of_its_own(earlier: TestDatabase) -> None:
    migrate(earlier, command.upgrade, "0004")
    run(earlier, DELETED_AND_MADE_AGAIN)

    migrate(earlier, command.downgrade, "0003")

    assert rows(earlier, "SELECT name FROM agents ORDER BY name") == [
        ("Assistant",),
        (f"Assistant (deleted {AGENT})",),
    ]

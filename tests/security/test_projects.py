"""Whoever has roles in some projects only, to them the other projects of the organization do not exist.

The database decides that, for each table that belongs to a project; no service filters. What it comes to in each
operation is in `test_tenancy_matrix`.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from sqlalchemy import text

from control_plane.app import create_app
from control_plane.auth.dependencies import named_organization_session, tenant_session
from control_plane.db import Database
from control_plane.settings import Settings
from tests.conftest import TestDatabase
from tests.orchestrator import FakeOrchestrator
from tests.tenants import Tenant, client, created
from tests.worker import claimed, message

pytestmark = pytest.mark.integration

TABLES_OF_PROJECTS = ["projects", "environments", "worker_queues", "agents", "agent_versions", "executions", "events"]


async def member_of(acme: Tenant, api_url: str, project: dict[str, Any], role: str) -> httpx.AsyncClient:
    """A client with a role in one project alone."""
    path = f"/organizations/{acme.organization['id']}/api-keys"
    issued = await created(acme.client, path, {"name": "narrow", "role": role, "project_id": project["id"]})
    return client(api_url, issued["key"])


@pytest.fixture
async def bank(acme: Tenant) -> dict[str, Any]:
    """Another project of the same organization, with an environment."""
    project = await created(acme.client, "/projects", {"name": "Bank", "slug": "bank"})
    environment = {"name": "Vault", "slug": "vault", "project_id": project["id"]}
    return project | {"environment": await created(acme.client, "/environments", environment)}


@pytest.fixture
async def narrow(acme: Tenant, api_url: str, bank: dict[str, Any]) -> AsyncIterator[httpx.AsyncClient]:
    """An admin of the project Bank, who has no role in the project that the tenant came with."""
    async with await member_of(acme, api_url, bank, "admin") as http:
        yield http


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/projects", {"name": "Third", "slug": "third"}),
        ("/policies", {"name": "mine", "module": "package mine\n\nimport rego.v1\n"}),
        ("/policy-bindings", {"policy": "read_only", "scope": "organization"}),
    ],
)
async def test_an_admin_of_a_project_makes_nothing_that_concerns_the_organization(
    narrow: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    response = await narrow.post(path, json=body)

    assert response.status_code == 403
    assert response.json()["code"] == "forbidden"


async def test_a_role_counts_in_the_project_it_was_granted_on_and_not_by_being_somewhere(
    acme: Tenant, api_url: str, bank: dict[str, Any]
) -> None:
    account = await created(
        acme.client,
        f"/organizations/{acme.organization['id']}/service-accounts",
        {
            "name": "ci",
            "grants": [
                {"role": "viewer", "project_id": acme.project["id"]},
                {"role": "developer", "project_id": bank["id"]},
            ],
        },
    )
    key = await created(
        acme.client,
        f"/organizations/{acme.organization['id']}/api-keys",
        {"name": "ci", "service_account_id": account["id"]},
    )

    async with client(api_url, key["key"]) as http:
        seen = await http.get(f"/agents/{acme.agent['id']}")
        started = await http.post("/executions", json={"agent_id": acme.agent["id"], "input": {"message": "go"}})

    assert seen.status_code == 200
    assert started.status_code == 422
    assert "There is no agent" in started.json()["detail"]


async def test_policies_of_the_organization_hold_for_who_starts_an_execution_in_a_project(
    acme: Tenant, api_url: str, test_database: TestDatabase
) -> None:
    await created(acme.client, "/policy-bindings", {"policy": "read_only", "scope": "organization"})
    async with await member_of(acme, api_url, acme.project, "developer") as developer:
        narrow = replace(acme, client=developer)

        execution = await narrow.start()

    with psycopg.connect(test_database.superuser_url) as connection:
        row = connection.execute("SELECT plan::text FROM executions WHERE id = %s", [execution["id"]]).fetchone()
    assert row is not None
    assert "read_only" in row[0]


async def test_a_stream_ends_when_its_reader_loses_the_role(
    acme: Tenant, api_url: str, test_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution = await acme.start()
    monkeypatch.setattr("control_plane.auth.credentials.Authenticator.REMEMBER", timedelta(0))
    monkeypatch.setattr("control_plane.events.stream._LOOK_AGAIN_AFTER", 0.05)
    async with (
        await member_of(acme, api_url, acme.project, "viewer") as viewer,
        viewer.stream("GET", f"/executions/{execution['id']}/stream") as stream,
    ):
        lines = stream.aiter_lines()
        first = await anext(lines)
        await test_database.change("DELETE FROM role_grants WHERE project_id IS NOT NULL")

        remaining = [line async for line in lines]

    assert first.startswith("id: 1")
    assert [line for line in remaining if line.startswith("event: done")] == []


@pytest.mark.parametrize("table", TABLES_OF_PROJECTS)
async def test_a_transaction_that_names_projects_holds_their_rows_alone(
    acme: Tenant, api_url: str, database: Database, table: str
) -> None:
    async with claimed(acme, api_url) as worker:
        await worker.report(message(1))
    organization, own, other = UUID(acme.organization["id"]), UUID(acme.project["id"]), uuid4()
    count = text(f"SELECT count(*) FROM {table}")

    async with database.tenant(organization, projects=[own]) as session:
        inside = await session.scalar(count)
    async with database.tenant(organization, projects=[other]) as session:
        outside = await session.scalar(count)
    async with database.tenant(organization, projects=[]) as session:
        nowhere = await session.scalar(count)

    assert inside
    assert [outside, nowhere] == [0, 0]


def test_every_table_that_names_a_project_or_belongs_to_a_row_that_does_keeps_to_projects(
    test_database: TestDatabase,
) -> None:
    with psycopg.connect(test_database.superuser_url) as connection:
        missing = connection.execute(
            "SELECT DISTINCT c.relname FROM pg_class c JOIN pg_policies p ON p.tablename = c.relname"
            " WHERE p.policyname = 'organization' AND p.qual NOT LIKE '%app.project_ids%' AND (c.relname = 'projects'"
            " OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname IN"
            "  ('project_id', 'environment_id', 'agent_id', 'execution_id', 'secret_id')))"
        ).fetchall()

    assert missing == []


def gates_before_sessions(dependant: Dependant) -> list[str]:
    """In the order in which they are asked: `gate` and `session`."""
    before = [name for below in dependant.dependencies for name in gates_before_sessions(below)]
    own = (
        ["gate"]
        if hasattr(dependant.call, "permission")
        else ["session"]
        if dependant.call in {tenant_session, named_organization_session}
        else []
    )
    return before + own


def test_every_route_names_its_permission_before_it_opens_a_session() -> None:
    settings = Settings.model_validate({"database_url": "postgresql://nobody@localhost/x", "secret_key": "x" * 32})
    routes = iter_route_contexts(create_app(settings, orchestrator=FakeOrchestrator()).routes)

    orders = {route.path: gates_before_sessions(getattr(route, "dependant", None) or Dependant()) for route in routes}

    using = {path: order for path, order in orders.items() if "session" in order}
    assert len(using) > 20
    assert {path: order[0] for path, order in using.items()} == dict.fromkeys(using, "gate")

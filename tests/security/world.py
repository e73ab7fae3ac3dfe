"""Two organizations with everything in them, one of them with two projects, and all who could try something."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx
import psycopg
from psycopg import sql

from control_plane.api import metadata
from control_plane.app import create_app
from control_plane.auth.local_issuer import LocalIssuer
from control_plane.auth.permissions import Permission
from control_plane.settings import Settings
from tests.conftest import TestDatabase
from tests.orchestrator import FakeOrchestrator
from tests.security.attempts import note_statements
from tests.security.belongings import Place, furnish_organization, furnish_project
from tests.security.holders import Holder, Parties, dead_credentials, holders
from tests.security.operations import PREFIX
from tests.tenants import OPERATOR_KEY, created

ACME, SHOP, BANK, GLOBEX = "acmecanary", "shopcanary", "bankcanary", "globexcanary"
_BASE_URL = "http://control-plane.test"
_CHANGING: Final = ["last_used_at", "attend_at"]
"""Columns in which background work notes what it did."""
_DISPATCHED: Final = (
    "UPDATE executions SET status = 'scheduled', flow_run_id = coalesce(flow_run_id, gen_random_uuid())"
    " WHERE status = 'pending'"
)
"""What the dispatcher would have done: executions are on offer to workers."""


@dataclass(frozen=True, slots=True)
class World:
    """The application and what it holds. `holders` and `dead` (credentials that don't count) by what they are.

    `http` has no credential, and paths begin at the root.
    """

    http: httpx.AsyncClient
    database: TestDatabase
    parties: Parties
    holders: Mapping[str, Holder]
    dead: Mapping[str, Mapping[str, str]]
    before: Collection[str]

    async def changes(self) -> set[str]:
        """Rows that have come, gone or changed since the beginning."""
        return {*self.before} ^ await rows(self.database)

    async def changes_of_globex(self) -> set[str]:
        """Those of the organization that nobody here belongs to."""
        return {row for row in await self.changes() if self.parties.globex.values["organization_id"][0] in row}


@asynccontextmanager
async def opened(database: TestDatabase, settings: Settings) -> AsyncIterator[World]:
    """The whole world, in an empty database and an application in this process."""
    app = create_app(settings, orchestrator=FakeOrchestrator())
    issuer = LocalIssuer.of(settings)
    assert issuer is not None
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=_BASE_URL) as http,
    ):
        note_statements(app)
        acme, (shop, bank) = await _organization(app, ACME, {SHOP: "script", BANK: ""}, issuer=issuer.url)
        whole, (project,) = await _organization(app, GLOBEX, {GLOBEX: ""}, issuer=issuer.url)
        # So that nothing changes by itself any more.
        await app.state.dispatcher.stop()
        await database.change(_DISPATCHED)
        parties = Parties(acme=acme, shop=shop, bank=bank, globex=whole.joined(project))
        async with client(app, acme.keys["owner"]) as owner, client(app, OPERATOR_KEY) as operator:
            dead = await dead_credentials(owner, parties, issuer=issuer, database=database)
            existing = await rows(database)
            of_globex = {row for row in existing if parties.globex.values["organization_id"][0] in row}
            living = await holders(owner, operator, parties, issuer=issuer, seen=existing - of_globex, unseen=of_globex)
            await database.change(_DISPATCHED)
        yield World(http, database, parties, living, dead, await rows(database))


def client(app: Any, key: str) -> httpx.AsyncClient:
    """A client of the application in this process."""
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=_BASE_URL + PREFIX, headers=headers)


async def _organization(
    app: Any, slug: str, projects: Mapping[str, str], *, issuer: str
) -> tuple[Place, Sequence[Place]]:
    async with client(app, OPERATOR_KEY) as operator:
        organization = await created(operator, "/organizations", {"name": slug, "slug": slug})
        issued = await created(operator, f"/organizations/{organization['id']}/bootstrap", {"name": f"{slug} owner"})
    async with client(app, issued["key"]) as owner:
        whole = await furnish_organization(owner, organization, marker=slug, issuer=issuer)
        whole = whole.joined(Place(slug, {}, keys={"owner": issued["key"]}))
        return whole, [
            await furnish_project(owner, whole, marker=marker, model=model) for marker, model in projects.items()
        ]


async def rows(database: TestDatabase) -> set[str]:
    """Every row of every table, seen past every row policy. An export's entry in the audit log is left out."""
    return await asyncio.to_thread(_rows, database.superuser_url)


def _rows(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {
            f"{table.name} {row}"
            for table in metadata.sorted_tables
            for (row,) in connection.execute(
                sql.SQL(
                    "SELECT (to_jsonb(t) - %s::text[])::text FROM {} t"
                    " WHERE to_jsonb(t) ->> 'action' IS DISTINCT FROM %s"
                ).format(sql.Identifier(table.name)),
                [_CHANGING, Permission.ORGANIZATIONS_EXPORT],
            )
        }

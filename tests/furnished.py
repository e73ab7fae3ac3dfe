"""Databases in which tenants are founded already: a copy takes a fraction of the time that founding them takes."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from control_plane.embedded.postgres import DATABASE, LOGIN, OWNER, Postgres
from control_plane.settings import Settings
from tests.orchestrator import FakeOrchestrator
from tests.serving import api_server
from tests.tenants import ENCRYPTION_KEY, OPERATOR_KEY, Founded, client, found_tenant

PASSWORD = "only-on-loopback"


def settings_on(database_url: str) -> Settings:
    """Settings of an API server of the tests."""
    return Settings(
        database_url=database_url,
        secret_key="a-secret-key-of-the-tests-0123456789",
        operator_key=OPERATOR_KEY,
        encryption_keys=ENCRYPTION_KEY,
        rate_limit=0,
    )


def create_database(server: Postgres, name: str, *, template: str) -> None:
    """A copy of a database to which nobody is connected."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                sql.Identifier(name), sql.Identifier(template), sql.Identifier(OWNER)
            )
        )


@dataclass(slots=True)
class Furnished:
    """Template databases by the slugs of their tenants, each made when it is wanted for the first time."""

    server: Postgres
    _made: dict[frozenset[str], Mapping[str, Founded]] = field(default_factory=dict)

    async def template(self, slugs: frozenset[str]) -> str:
        """The name of the database that has these tenants and nothing else."""
        if not slugs:
            return DATABASE
        name = "with_" + "_".join(sorted(slugs))
        if slugs not in self._made:
            await asyncio.to_thread(create_database, self.server, name, template=DATABASE)
            url = self.server.url(login=LOGIN, password=PASSWORD, database=name)
            async with api_server(settings_on(url), FakeOrchestrator()) as api_url:
                tenants = {slug: await found_tenant(api_url, slug) for slug in sorted(slugs)}
                for tenant in tenants.values():
                    await _provisioned(api_url, tenant)
            self._made[slugs] = tenants
        return name

    def tenant(self, slugs: frozenset[str], slug: str) -> Founded:
        """One of the tenants of a template that there is."""
        return self._made[slugs][slug]


async def _provisioned(api_url: str, tenant: Founded) -> None:
    """Return when nothing is left to be done in the background."""
    async with client(api_url, tenant.api_key) as http, asyncio.timeout(30):
        while (await http.get(f"/environments/{tenant.environment['id']}")).json()["status"] != "ready":
            pass

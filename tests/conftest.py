"""What all tests share: one real PostgreSQL a test process, a fresh database a test, and the API over real HTTP."""

import asyncio
import os
import warnings
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

import httpx
import psycopg
import pytest
from psycopg import sql

import migrations
from control_plane.db import Database
from control_plane.embedded.postgres import DATABASE, LOGIN, OWNER, Postgres
from control_plane.llm import loading
from control_plane.settings import Settings
from tests.furnished import PASSWORD, Furnished, create_database, settings_on
from tests.orchestrator import FakeOrchestrator
from tests.prefect_stage import prefect_server, stage  # noqa: F401 - fixtures
from tests.provider.fixtures import provider, provider_server  # noqa: F401 - fixtures
from tests.serving import api_server
from tests.tenants import OPERATOR_KEY, Tenant, at_work

KINDS = {"unit", "integration", "journey"}
TENANTS = frozenset({"acme", "globex"})
_numbers = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        kinds = KINDS & {mark.name for mark in item.iter_markers()}
        if len(kinds) != 1:
            raise pytest.UsageError(f"{item.nodeid} must be marked as exactly one of {', '.join(sorted(KINDS))}")


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A developer's own settings and saved login must not steer a test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("CONTROL_PLANE_", "PREFECT_", "LITELLM_", "OPENAI_", "ANTHROPIC_", "DATABASE_URL")):
                patch.delenv(name)
        patch.setenv("CONTROL_PLANE_CONFIG", str(tmp_path_factory.mktemp("nobody-signed-in")))
        yield


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL server whose database `control_plane` is migrated: the template of all others."""
    folder = tmp_path_factory.mktemp("postgres")
    server = Postgres.start(folder / "data", log=folder / "postgres.log", password=PASSWORD, durable=False)
    try:
        server.ensure_database(owner_password=PASSWORD, login_password=PASSWORD)
        migrations.upgrade(server.url(login=OWNER, password=PASSWORD, database=DATABASE), grant_to=LOGIN)
        yield server
    finally:
        server.stop()


@dataclass(frozen=True, slots=True)
class TestDatabase:
    """One database under its three logins: the API's, the owner of the tables, and the superuser."""

    __test__ = False

    url: str
    owner_url: str
    superuser_url: str

    async def change(self, statement: str, *parameters: object) -> None:
        """Run a statement as the superuser, in a thread: it may have to wait for a lock that this very loop holds."""
        await asyncio.to_thread(self._run, statement, parameters)

    def _run(self, statement: str, parameters: Sequence[object]) -> None:
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            connection.execute(statement.encode(), parameters or None)


@contextmanager
def _created(server: Postgres, *, template: str) -> Iterator[TestDatabase]:
    name = f"test_{next(_numbers)}"
    create_database(server, name, template=template)
    try:
        yield TestDatabase(
            url=server.url(login=LOGIN, password=PASSWORD, database=name),
            owner_url=server.url(login=OWNER, password=PASSWORD, database=name),
            superuser_url=server.url(database=name),
        )
    finally:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def empty_database(postgres: Postgres) -> Iterator[TestDatabase]:
    """A database without tables."""
    with _created(postgres, template="template0") as created:
        yield created


@pytest.fixture(scope="session")
def furnished(postgres: Postgres, _litellm: None) -> Furnished:
    """Templates with tenants in them."""
    return Furnished(postgres)


@pytest.fixture
def founded(request: pytest.FixtureRequest) -> frozenset[str]:
    """The tenants that a test asks for."""
    return TENANTS & frozenset(request.fixturenames)


@pytest.fixture
async def test_database(
    request: pytest.FixtureRequest, postgres: Postgres, founded: frozenset[str]
) -> AsyncIterator[TestDatabase]:
    """A migrated database of this test alone, in which the tenants are that it asks for."""
    template = await request.getfixturevalue("furnished").template(founded) if founded else DATABASE
    with _created(postgres, template=template) as created:
        yield created


@pytest.fixture
async def database(test_database: TestDatabase) -> AsyncIterator[Database]:
    """The application's way to this test's database."""
    opened = Database(test_database.url, pool_size=8)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def _litellm() -> None:
    """LiteLLM, which a server loads when it starts: it warns while it is imported, and an import happens once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loading.loaded()


@pytest.fixture
def settings(test_database: TestDatabase, _litellm: None) -> Settings:
    """Settings of an API server on this test's database. Copy it with changes: `settings.model_copy(update=…)`."""
    return settings_on(test_database.url)


@pytest.fixture
def orchestrator() -> FakeOrchestrator:
    """The orchestrator's port, with nothing behind it."""
    return FakeOrchestrator()


@pytest.fixture
async def api_url(settings: Settings, orchestrator: FakeOrchestrator) -> AsyncIterator[str]:
    """The URL of a running API server with the fake orchestrator."""
    async with api_server(settings, orchestrator) as url:
        yield url


@pytest.fixture
async def acme(api_url: str, furnished: Furnished, founded: frozenset[str]) -> AsyncIterator[Tenant]:
    """An organization with a project, an environment and an agent."""
    async with at_work(api_url, furnished.tenant(founded, "acme")) as tenant:
        yield tenant


@pytest.fixture
async def globex(api_url: str, furnished: Furnished, founded: frozenset[str]) -> AsyncIterator[Tenant]:
    """Another organization on the same server."""
    async with at_work(api_url, furnished.tenant(founded, "globex")) as tenant:
        yield tenant


@pytest.fixture
async def operator(api_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the operator's key."""
    async with httpx.AsyncClient(
        base_url=f"{api_url}/api/v1", headers={"Authorization": f"Bearer {OPERATOR_KEY}"}
    ) as client:
        yield client

"""A value that was sent once is found nowhere again."""

import base64
import logging
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import psycopg
import pytest

from control_plane.audit.service import Origin
from control_plane.db import Database
from control_plane.secrets import service as secrets
from control_plane.secrets.encryption import Keyring
from control_plane.secrets.rotation import rotate
from control_plane.secrets.schemas import SecretCreate, SecretReplace
from control_plane.settings import Settings
from tests.conftest import TestDatabase
from tests.orchestrator import FakeOrchestrator
from tests.serving import api_server
from tests.tenants import Tenant, create_tenant

pytestmark = pytest.mark.integration

FIRST, SECOND = "canary-first-5f1c9a", "canary-second-7d20be"
SHAPES = [
    shape
    for canary in (FIRST, SECOND)
    for shape in (
        canary.encode(),
        canary.encode().hex().encode(),
        base64.b64encode(canary.encode()).rstrip(b"="),
    )
]


@pytest.fixture
async def talkative(
    settings: Settings, orchestrator: FakeOrchestrator, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Tenant]:
    """A tenant of a server all of whose loggers say everything, that of SQL statements and their values too."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="sqlalchemy.engine")
    async with api_server(settings, orchestrator) as url, create_tenant(url, "acme") as tenant:
        yield tenant


@pytest.fixture
async def lived(
    talkative: Tenant, settings: Settings, database: Database, keyring: Keyring, newer: Keyring, origin: Origin
) -> Tenant:
    """A tenant whose secrets were created, refused, brought under another key, replaced and released."""
    http = talkative.client
    await http.post("/secrets", json={"name": "openweather", "value": FIRST})
    await http.post("/secrets", json={"name": "openweather", "value": FIRST})
    await http.post("/secrets", json={"name": "kept", "value": FIRST})
    await http.post("/secrets", json={"name": "more", "value": FIRST, "unknown": FIRST})
    await http.post("/secrets", json={"name": "more", "value": [FIRST]})
    await rotate(database, newer, progress=lambda _: None)
    await http.put("/secrets/openweather", json={"value": SECOND})
    await http.put("/secrets/missing", json={"value": SECOND})
    async with database.tenant(UUID(talkative.organization["id"])) as session:
        value = await secrets.release(session, "openweather", environment_id=uuid4(), keyring=keyring, origin=origin)
    assert value.get_secret_value() == SECOND
    return talkative


def dumped(url: str) -> bytes:
    """Every table of a database as COPY writes it, one after the other."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        ).fetchall()
        content = b""
        for (table,) in tables:
            with connection.cursor().copy(f"COPY {table} TO STDOUT".encode()) as copy:
                content += b"".join(map(bytes, copy))
    return content


async def test_no_table_holds_it(lived: Tenant, test_database: TestDatabase) -> None:
    dump = dumped(test_database.superuser_url)

    assert b"openweather" in dump
    assert b"secrets:release" in dump
    assert [shape for shape in SHAPES if shape in dump] == []


async def test_no_log_holds_it(lived: Tenant, caplog: pytest.LogCaptureFixture) -> None:
    log = "\n".join(f"{record!r} {record.getMessage()} {record.args!r}" for record in caplog.get_records("setup"))

    assert "INSERT INTO secret_values" in log
    assert "openweather" in log
    assert [shape for shape in SHAPES if shape.decode() in log] == []


@pytest.mark.parametrize("shown", [repr, str, lambda body: body.model_dump_json()])
def test_no_body_shows_it(shown: object) -> None:
    bodies = [
        SecretCreate.model_validate({"name": "x", "value": FIRST}),
        SecretReplace.model_validate({"value": FIRST}),
    ]

    texts = [shown(body) for body in bodies]  # type: ignore[operator] # one of the three above

    assert [text for text in texts if FIRST in text] == []
    assert all("value" in text for text in texts)

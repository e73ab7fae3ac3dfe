import asyncio
import os
from uuid import UUID, uuid4

import psycopg
import pytest

from control_plane.audit.service import Origin
from control_plane.db import Database
from control_plane.secrets import rotation
from control_plane.secrets import service as secrets
from control_plane.secrets.encryption import Keyring
from control_plane.secrets.models import Secret, SecretValue
from control_plane.secrets.rotation import RotationIncomplete, rotate
from tests.control_plane.secrets.conftest import Stored, Superuser
from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration

NAMES = ["s0", "s1", "s2", "s3", "s4"]


class Interrupted(Exception):
    pass


@pytest.fixture
async def filled(acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch) -> list[Stored]:
    """Five secrets in each of two organizations, whose values are their names, and batches of two."""
    monkeypatch.setattr(rotation, "BATCH", 2)
    for tenant in (acme, globex):
        for name in NAMES:
            await created(tenant.client, "/secrets", {"name": name, "value": name})
    return [Stored(UUID(tenant.organization["id"]), name) for tenant in (acme, globex) for name in NAMES]


async def values(database: Database, filled: list[Stored], keyring: Keyring, origin: Origin) -> list[str]:
    found = []
    for stored in filled:
        async with database.tenant(stored.organization_id) as session:
            value = await secrets.release(session, stored.name, environment_id=uuid4(), keyring=keyring, origin=origin)
        found.append(value.get_secret_value())
    return found


def key_ids(superuser: Superuser) -> set[object]:
    return {key_id for (key_id,) in superuser.execute("SELECT key_id FROM secret_values").fetchall()}


async def test_all_secrets_of_all_organizations_come_under_the_first_key(
    filled: list[Stored], database: Database, newer: Keyring, keyring: Keyring, origin: Origin, superuser: Superuser
) -> None:
    reports: list[int] = []

    done = await rotate(database, newer, progress=reports.append)

    assert (done, reports) == (10, [2, 4, 5, 7, 9, 10])
    assert key_ids(superuser) == {newer.newest}
    assert await values(database, filled, newer, origin) == NAMES * 2


async def test_the_values_themselves_stay_as_they_are(
    filled: list[Stored], database: Database, newer: Keyring, superuser: Superuser
) -> None:
    query = "SELECT secret_id, ciphertext FROM secret_values ORDER BY secret_id"
    before = superuser.execute(query).fetchall()

    await rotate(database, newer, progress=lambda _: None)

    assert superuser.execute(query).fetchall() == before


async def test_after_it_the_old_key_is_needed_no_more(
    filled: list[Stored], database: Database, keys: list[bytes], origin: Origin
) -> None:
    new = os.urandom(32)

    await rotate(database, Keyring([new, *keys]), progress=lambda _: None)

    assert await values(database, filled, Keyring([new]), origin) == NAMES * 2


async def test_repeating_it_does_nothing(
    filled: list[Stored], database: Database, newer: Keyring, superuser: Superuser
) -> None:
    await rotate(database, newer, progress=lambda _: None)
    before = superuser.execute("SELECT * FROM secret_values ORDER BY secret_id").fetchall()

    done = await rotate(database, newer, progress=lambda _: None)

    assert done == 0
    assert superuser.execute("SELECT * FROM secret_values ORDER BY secret_id").fetchall() == before


async def test_interrupted_it_keeps_what_is_done_and_goes_on_from_there(
    filled: list[Stored], database: Database, newer: Keyring, origin: Origin
) -> None:
    def interrupt(done: int) -> None:
        raise Interrupted(done)

    with pytest.raises(Interrupted, match="2"):
        await rotate(database, newer, progress=interrupt)
    between = await values(database, filled, newer, origin)

    done = await rotate(database, newer, progress=lambda _: None)

    assert between == NAMES * 2
    assert done == 8


async def test_two_at_once_do_the_work_once(
    filled: list[Stored], database: Database, newer: Keyring, origin: Origin
) -> None:
    done = await asyncio.gather(*(rotate(database, newer, progress=lambda _: None) for _ in range(3)))

    assert sum(done) == 10
    assert await values(database, filled, newer, origin) == NAMES * 2


async def test_what_is_being_wrapped_can_not_be_replaced_at_the_same_moment(
    filled: list[Stored],
    database: Database,
    newer: Keyring,
    superuser: Superuser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rewrapped = rotation._rewrapped

    def refused(table: str, column: str, secret_id: UUID) -> None:
        with pytest.raises(psycopg.errors.LockNotAvailable):
            superuser.execute(f"SELECT FROM {table} WHERE {column} = %s FOR UPDATE NOWAIT".encode(), [secret_id])

    def attempt(keyring: Keyring, secret: Secret, stored: SecretValue) -> tuple[str, bytes]:
        refused("secrets", "id", secret.id)
        refused("secret_values", "secret_id", secret.id)
        return rewrapped(keyring, secret, stored)

    monkeypatch.setattr(rotation, "_rewrapped", attempt)

    assert await rotate(database, newer, progress=lambda _: None) == 10


async def test_replacements_of_everything_while_it_runs_all_count(
    filled: list[Stored], acme: Tenant, database: Database, newer: Keyring, origin: Origin
) -> None:
    answers = await asyncio.gather(
        *(acme.client.put(f"/secrets/{name}", json={"value": f"{name} again"}) for name in NAMES),
        rotate(database, newer, progress=lambda _: None),
    )

    assert [answer.status_code for answer in answers[:-1]] == [200] * 5
    assert await values(database, filled[:5], newer, origin) == [f"{name} again" for name in NAMES]


async def test_a_secret_that_no_key_opens_is_named_and_all_others_are_done(
    filled: list[Stored], database: Database, newer: Keyring, superuser: Superuser
) -> None:
    superuser.execute(
        "UPDATE secret_values SET wrapped_key = set_byte(wrapped_key, 20, get_byte(wrapped_key, 20) # 1)"
        " WHERE secret_id = (SELECT id FROM secrets WHERE name = 's0' ORDER BY id LIMIT 1)"
    )

    with pytest.raises(RotationIncomplete, match=r"^9 data keys .* 1 could not be: s0 of organization"):
        await rotate(database, newer, progress=lambda _: None)

    assert newer.newest in key_ids(superuser)

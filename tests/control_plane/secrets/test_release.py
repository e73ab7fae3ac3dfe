import os
from uuid import UUID, uuid4

import pytest

from control_plane.audit.service import Origin
from control_plane.db import Database
from control_plane.problems import NotFound
from control_plane.secrets import service as secrets
from control_plane.secrets.encryption import Keyring
from control_plane.secrets.service import SecretUnreadable
from tests.control_plane.secrets.conftest import Stored, Superuser
from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration

VALUE = "sunny-5f1c9a"


async def release(
    database: Database, stored: Stored, keyring: Keyring, origin: Origin, *, environment_id: UUID | None = None
) -> str:
    """The value as an execution of an environment (any, unless told) receives it."""
    async with database.tenant(stored.organization_id) as session:
        value = await secrets.release(
            session, stored.name, environment_id=environment_id or uuid4(), keyring=keyring, origin=origin
        )
    assert VALUE not in repr(value)
    return value.get_secret_value()


async def released(tenant: Tenant) -> list[dict[str, object]]:
    response = await tenant.client.get(
        f"/organizations/{tenant.organization['id']}/audit-log", params={"action": "secrets:release"}
    )
    entries: list[dict[str, object]] = response.json()
    return entries


async def test_the_value_is_released_and_the_audit_log_says_to_whom(
    acme: Tenant, secret: Stored, database: Database, keyring: Keyring, origin: Origin
) -> None:
    value = await release(database, secret, keyring, origin)

    [entry] = await released(acme)
    assert value == VALUE
    assert (
        entry.items()
        >= {
            "actor": "execution_token:e",
            "credential_id": str(origin.credential_id),
            "resource_type": "secrets",
            "resource_id": "openweather",
            "request_id": "r-1",
            "client_address": "192.0.2.7",
        }.items()
    )
    assert VALUE not in str(entry)


async def test_the_value_that_replaced_another_is_released(
    acme: Tenant, secret: Stored, database: Database, keyring: Keyring, origin: Origin
) -> None:
    await acme.client.put("/secrets/openweather", json={"value": "rainy"})

    assert await release(database, secret, keyring, origin) == "rainy"


async def test_a_secret_of_an_environment_is_released_there_and_nowhere_else(
    acme: Tenant, database: Database, keyring: Keyring, origin: Origin
) -> None:
    here = UUID(acme.environment["id"])
    await created(acme.client, "/secrets", {"name": "narrow", "value": "here", "environment_id": str(here)})
    narrow = Stored(UUID(acme.organization["id"]), "narrow")

    value = await release(database, narrow, keyring, origin, environment_id=here)
    with pytest.raises(NotFound):
        await release(database, narrow, keyring, origin, environment_id=uuid4())

    assert value == "here"
    assert len(await released(acme)) == 1


async def test_a_secret_of_another_organization_is_not_released(
    acme: Tenant, globex: Tenant, secret: Stored, database: Database, keyring: Keyring, origin: Origin
) -> None:
    with pytest.raises(NotFound):
        await release(database, Stored(UUID(globex.organization["id"]), secret.name), keyring, origin)

    assert await released(acme) == await released(globex) == []


async def test_a_release_that_is_rolled_back_leaves_no_entry(
    acme: Tenant, secret: Stored, database: Database, keyring: Keyring, origin: Origin
) -> None:
    async with database.tenant(secret.organization_id) as session:
        await secrets.release(session, secret.name, environment_id=uuid4(), keyring=keyring, origin=origin)
        await session.rollback()

    assert await released(acme) == []


@pytest.mark.parametrize("column", ["ciphertext", "wrapped_key"])
@pytest.mark.parametrize("position", [0, 15, 40])
async def test_a_bit_changed_in_the_database_is_noticed(
    acme: Tenant,
    secret: Stored,
    database: Database,
    keyring: Keyring,
    origin: Origin,
    superuser: Superuser,
    column: str,
    position: int,
) -> None:
    superuser.execute(
        f"UPDATE secret_values SET {column} = set_byte({column}, {position} % length({column}),"
        f" get_byte({column}, {position} % length({column})) # 1)".encode()
    )

    with pytest.raises(SecretUnreadable, match="changed outside of the control plane"):
        await release(database, secret, keyring, origin)

    assert await released(acme) == []


async def test_values_swapped_between_two_names_are_noticed(
    acme: Tenant, secret: Stored, database: Database, keyring: Keyring, origin: Origin, superuser: Superuser
) -> None:
    await created(acme.client, "/secrets", {"name": "other", "value": "cloudy"})
    superuser.execute(
        "UPDATE secret_values mine SET ciphertext = theirs.ciphertext, wrapped_key = theirs.wrapped_key"
        " FROM secret_values theirs WHERE theirs.secret_id <> mine.secret_id"
    )

    with pytest.raises(SecretUnreadable):
        await release(database, secret, keyring, origin)
    with pytest.raises(SecretUnreadable):
        await release(database, Stored(secret.organization_id, "other"), keyring, origin)


async def test_values_swapped_between_two_organizations_are_noticed(
    globex: Tenant, secret: Stored, database: Database, keyring: Keyring, origin: Origin, superuser: Superuser
) -> None:
    await created(globex.client, "/secrets", {"name": secret.name, "value": "cloudy"})
    superuser.execute(
        "UPDATE secret_values mine SET ciphertext = theirs.ciphertext, wrapped_key = theirs.wrapped_key"
        " FROM secret_values theirs WHERE theirs.organization_id <> mine.organization_id"
    )

    with pytest.raises(SecretUnreadable):
        await release(database, secret, keyring, origin)
    with pytest.raises(SecretUnreadable):
        await release(database, Stored(UUID(globex.organization["id"]), secret.name), keyring, origin)


async def test_a_secret_renamed_in_the_database_is_noticed(
    secret: Stored, database: Database, keyring: Keyring, origin: Origin, superuser: Superuser
) -> None:
    superuser.execute("UPDATE secrets SET name = 'renamed'")

    with pytest.raises(SecretUnreadable):
        await release(database, Stored(secret.organization_id, "renamed"), keyring, origin)


async def test_an_old_value_put_back_in_the_database_is_noticed(
    acme: Tenant, secret: Stored, database: Database, keyring: Keyring, origin: Origin, superuser: Superuser
) -> None:
    superuser.execute("CREATE TABLE kept AS SELECT * FROM secret_values")
    await acme.client.put("/secrets/openweather", json={"value": "rainy"})
    superuser.execute(
        "UPDATE secret_values v SET ciphertext = kept.ciphertext, wrapped_key = kept.wrapped_key FROM kept"
        " WHERE kept.secret_id = v.secret_id"
    )

    with pytest.raises(SecretUnreadable):
        await release(database, secret, keyring, origin)


async def test_a_key_that_is_missing_is_named_with_what_to_do(
    secret: Stored, database: Database, keyring: Keyring, origin: Origin
) -> None:
    with pytest.raises(SecretUnreadable, match=f"{keyring.newest}.*CONTROL_PLANE_ENCRYPTION_KEYS"):
        await release(database, secret, Keyring([os.urandom(32)]), origin)

import os
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID, uuid4

import psycopg
import pytest

from control_plane.audit.service import Origin
from control_plane.secrets.encryption import Keyring
from control_plane.settings import Settings, key_bytes
from tests.conftest import TestDatabase
from tests.tenants import Tenant, created

Superuser = psycopg.Connection[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Stored:
    """A secret of an organization, as its `name`; `organization_id` is typed."""

    organization_id: UUID
    name: str


@pytest.fixture
def keys(settings: Settings) -> list[bytes]:
    """The master keys of the running server."""
    assert settings.encryption_keys is not None
    return key_bytes(settings.encryption_keys)


@pytest.fixture
def keyring(keys: list[bytes]) -> Keyring:
    """The keyring of the running server."""
    return Keyring(keys)


@pytest.fixture
def newer(keys: list[bytes]) -> Keyring:
    """The keyring with a new first key; the server's own is behind it."""
    return Keyring([os.urandom(32), *keys])


@pytest.fixture
def origin() -> Origin:
    """Somebody who asks for a value."""
    return Origin(
        actor="execution_token:e",
        credential_id=uuid4(),
        method="GET",
        route="/worker/executions/{execution_id}/plan",
        request_id="r-1",
        client_address="192.0.2.7",
    )


@pytest.fixture
def superuser(test_database: TestDatabase) -> Iterator[Superuser]:
    """Somebody who can change what is stored."""
    with psycopg.connect(test_database.superuser_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def secret(acme: Tenant) -> Stored:
    """A secret with the value `sunny-5f1c9a`."""
    await created(acme.client, "/secrets", {"name": "openweather", "value": "sunny-5f1c9a"})
    return Stored(UUID(acme.organization["id"]), "openweather")

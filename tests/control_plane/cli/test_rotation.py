import base64
import os

import psycopg
import pytest

from control_plane.cli.failures import Failure
from control_plane.cli.rotation import rotate_encryption_key
from control_plane.secrets.encryption import Keyring
from tests.conftest import TestDatabase
from tests.tenants import ENCRYPTION_KEY, Tenant, created

pytestmark = pytest.mark.integration

NEW = os.urandom(32)


@pytest.fixture
def environment(test_database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The settings of the API server as they are for a rotation: a new key, and the one before behind it."""
    monkeypatch.setenv("DATABASE_URL", test_database.url)
    monkeypatch.setenv("CONTROL_PLANE_SECRET_KEY", "a-secret-key-of-the-tests-0123456789")
    monkeypatch.setenv("CONTROL_PLANE_ENCRYPTION_KEYS", f"{base64.b64encode(NEW).decode()},{ENCRYPTION_KEY}")
    return monkeypatch


def key_ids(test_database: TestDatabase) -> list[tuple[str]]:
    with psycopg.connect(test_database.superuser_url) as connection:
        return connection.execute("SELECT DISTINCT key_id FROM secret_values").fetchall()


@pytest.fixture
async def secret(acme: Tenant) -> None:
    """A secret under the key of the running server."""
    await created(acme.client, "/secrets", {"name": "openweather", "value": "x"})


def test_it_tells_how_much_was_done_and_which_key_counts_now(
    secret: None, environment: pytest.MonkeyPatch, test_database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    rotate_encryption_key()

    newest = Keyring([NEW]).newest
    assert capsys.readouterr().out == f"1 data keys wrapped anew. All secrets are under the key {newest}.\n"
    assert key_ids(test_database) == [(newest,)]


def test_a_second_time_there_is_nothing_to_do(
    secret: None, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rotate_encryption_key()
    capsys.readouterr()

    rotate_encryption_key()

    assert capsys.readouterr().out.startswith("0 data keys wrapped anew.")


def test_without_the_old_key_it_says_which_secret_is_left(secret: None, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CONTROL_PLANE_ENCRYPTION_KEYS", base64.b64encode(NEW).decode())

    with pytest.raises(Failure, match=r"1 could not be: openweather of organization .* no encryption key has the id"):
        rotate_encryption_key()


def test_without_keys_it_says_what_to_set(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("CONTROL_PLANE_ENCRYPTION_KEYS")

    with pytest.raises(Failure, match="CONTROL_PLANE_ENCRYPTION_KEYS is not set"):
        rotate_encryption_key()


def test_a_wrong_setting_is_named_and_not_shown(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CONTROL_PLANE_ENCRYPTION_KEYS", "t00-short")

    with pytest.raises(Failure, match="CONTROL_PLANE_ENCRYPTION_KEYS") as caught:
        rotate_encryption_key()

    assert "t00" not in str(caught.value)

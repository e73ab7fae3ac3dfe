"""What a browser brings back from its provider counts for ten minutes, and only if this server made it."""

import time

import pytest

from control_plane.auth.credentials import Hasher
from control_plane.auth.oidc_code_flow import Secrets
from control_plane.auth.sign_in_transactions import Seal, Transaction

pytestmark = pytest.mark.unit

HASHER = Hasher("a-secret-key-of-the-tests-0123456789")
TRANSACTION = Transaction("https://login.example.com", "/executions", Secrets.new())


def resealed(age: int) -> str:
    """The same transaction as if it had been sealed `age` seconds ago."""
    fernet = Seal(HASHER)._fernet
    return fernet.encrypt_at_time(fernet.decrypt(Seal(HASHER).close(TRANSACTION)), int(time.time()) - age).decode()


def test_it_comes_back_as_it_went() -> None:
    assert Seal(HASHER).open(Seal(HASHER).close(TRANSACTION)) == TRANSACTION


def test_nobody_can_read_it() -> None:
    sealed = Seal(HASHER).close(TRANSACTION)

    assert TRANSACTION.secrets.verifier not in sealed
    assert len(sealed) < 1000


def test_it_counts_for_ten_minutes() -> None:
    assert Seal(HASHER).open(resealed(590)) == TRANSACTION
    assert Seal(HASHER).open(resealed(602)) is None


def test_that_of_a_server_with_another_key_does_not_count() -> None:
    other = Seal(Hasher("another-secret-key-of-the-tests-01234")).close(TRANSACTION)

    assert Seal(HASHER).open(other) is None


def test_every_sign_in_has_secrets_of_its_own() -> None:
    first, second = Secrets.new(), Secrets.new()

    assert len({first.state, first.nonce, first.verifier, second.state, second.nonce, second.verifier}) == 6
    assert len(first.verifier) >= 43

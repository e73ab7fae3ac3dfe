"""Envelope encryption: each value under a random key of its own, and that key under a master key of the installation.

A value is bound to its place (organization, name, version) as associated data, and its key to that and to the master
key's id: moved to another place, or changed, it can't be opened. Everything is AES-256-GCM.
"""

import hmac
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from control_plane.settings import key_bytes

_NONCE = 12
"""Bytes, as GCM is specified for. A master key may wrap 2³² keys under random nonces of this size."""


class UnknownKey(Exception):
    """The value is under a master key that isn't among ours."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"no encryption key has the id {key_id}")
        self.key_id = key_id


class Tampered(Exception):
    """What is stored isn't what was sealed for this place: it was changed, or moved here from elsewhere."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value belongs."""

    organization_id: UUID
    name: str
    version: int

    def bound(self, purpose: str) -> bytes:
        """The place as associated data. JSON, so that no two places look alike."""
        return json.dumps([purpose, str(self.organization_id), self.name, self.version]).encode()


@dataclass(frozen=True, slots=True)
class Sealed:
    """An encrypted value. `ciphertext` and `wrapped_key` begin with their nonces."""

    key_id: str
    wrapped_key: bytes
    ciphertext: bytes


class Keyring:
    """The master keys: the first seals, all open. Shows none of them."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = {_key_id(key): AESGCM(key) for key in keys}
        self.newest = _key_id(keys[0])
        """Id of the key that seals."""

    @classmethod
    def of(cls, keys: SecretStr | None) -> Self | None:
        """The keyring of a setting; None if it isn't set."""
        return cls(key_bytes(keys)) if keys else None

    def seal(self, value: bytes, place: Place) -> Sealed:
        """Encrypt a value for one place."""
        data_key = AESGCM.generate_key(bit_length=256)
        return Sealed(
            key_id=self.newest,
            wrapped_key=self._wrap(data_key, place),
            ciphertext=_encrypt(AESGCM(data_key), value, place.bound("value")),
        )

    def open(self, sealed: Sealed, place: Place) -> bytes:
        """The value. Raises `UnknownKey` or `Tampered`."""
        return _decrypt(AESGCM(self._unwrap(sealed, place)), sealed.ciphertext, place.bound("value"))

    def rewrap(self, sealed: Sealed, place: Place) -> Sealed:
        """The same value with its key under the newest master key. Raises `UnknownKey` or `Tampered`."""
        return Sealed(
            key_id=self.newest,
            wrapped_key=self._wrap(self._unwrap(sealed, place), place),
            ciphertext=sealed.ciphertext,
        )

    def _wrap(self, data_key: bytes, place: Place) -> bytes:
        return _encrypt(self._keys[self.newest], data_key, place.bound(f"key under {self.newest}"))

    def _unwrap(self, sealed: Sealed, place: Place) -> bytes:
        master = self._keys.get(sealed.key_id)
        if master is None:
            raise UnknownKey(sealed.key_id)
        return _decrypt(master, sealed.wrapped_key, place.bound(f"key under {sealed.key_id}"))


def _key_id(key: bytes) -> str:
    """Tells keys apart and gives none away."""
    return hmac.digest(key, b"agent-control-plane encryption key id", "sha256")[:8].hex()


def _encrypt(cipher: AESGCM, value: bytes, bound: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + cipher.encrypt(nonce, value, bound)


def _decrypt(cipher: AESGCM, stored: bytes, bound: bytes) -> bytes:
    try:
        return cipher.decrypt(stored[:_NONCE], stored[_NONCE:], bound)
    except (InvalidTag, ValueError):
        raise Tampered("what is stored isn't what was sealed for this place") from None

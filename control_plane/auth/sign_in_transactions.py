"""A sign-in that is under way at a provider, sealed into a cookie so that only the browser that began it can end it."""

import base64
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Final

from cryptography.fernet import Fernet, InvalidToken

from control_plane.auth.oidc_code_flow import Secrets

LIFETIME: Final = timedelta(minutes=10)
"""As long as people need at their provider."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """Where the browser went, with what, and where it wants to be afterwards."""

    issuer: str
    return_to: str
    secrets: Secrets


class Seal:
    """Encrypts transactions under a key of the server's own: nobody reads them, nobody makes one up."""

    def __init__(self, hasher: Callable[[str], bytes]) -> None:
        self._fernet = Fernet(base64.urlsafe_b64encode(hasher("sign-in transactions")))

    def close(self, transaction: Transaction) -> str:
        """The transaction as a cookie can carry it."""
        return self._fernet.encrypt(json.dumps(asdict(transaction)).encode()).decode()

    def open(self, sealed: str) -> Transaction | None:
        """The transaction again; None if it isn't ours or is older than `LIFETIME`."""
        try:
            found = json.loads(self._fernet.decrypt(sealed, ttl=int(LIFETIME.total_seconds())))
        except (InvalidToken, ValueError):
            return None
        return Transaction(found["issuer"], found["return_to"], Secrets(**found["secrets"]))

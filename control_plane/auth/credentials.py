"""Keys and tokens: how they are made, stored and recognised.

A credential is 256 random bits behind a prefix that secret scanners can find. Only its HMAC-SHA256 under the server's
secret key is stored: a stolen table opens nothing, and looking one up costs microseconds.
"""

import hmac
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from sqlalchemy import LargeBinary, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.auth.principals import Kind, Principal
from control_plane.db import Base, Database, Resource, TenantOwned

PREFIXES = {Kind.API_KEY: "cp_key_", Kind.WORKER_KEY: "cp_worker_", Kind.EXECUTION_TOKEN: "cp_exec_"}


class Credential(Base, Resource, TenantOwned):
    """A key or token of an organization. `hint` is the end of it, so that people can tell two apart."""

    __tablename__ = "credentials"

    kind: Mapped[str]
    name: Mapped[str]
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    hint: Mapped[str]
    environment_id: Mapped[UUID | None]
    execution_id: Mapped[UUID | None]
    fence: Mapped[int | None]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class Issued:
    """A new credential together with its secret, which exists only here and with whoever receives it."""

    credential: Credential
    secret: str


class Hasher:
    """Computes what is stored instead of a credential."""

    def __init__(self, secret_key: str) -> None:
        self._key = secret_key.encode()

    def __call__(self, credential: str) -> bytes:
        """32 bytes, the same for the same credential and secret key."""
        return hmac.digest(self._key, credential.encode(), "sha256")


def issue(
    session: AsyncSession,
    hasher: Hasher,
    *,
    kind: Kind,
    organization_id: UUID,
    name: str,
    environment_id: UUID | None = None,
    execution_id: UUID | None = None,
    fence: int | None = None,
    expires_at: datetime | None = None,
) -> Issued:
    """Make a credential and add its hash to the session. The secret can't be read again later."""
    secret = PREFIXES[kind] + secrets.token_urlsafe(32)
    credential = Credential(
        organization_id=organization_id,
        kind=kind,
        name=name,
        hash=hasher(secret),
        hint=secret[-4:],
        environment_id=environment_id,
        execution_id=execution_id,
        fence=fence,
        expires_at=expires_at,
    )
    session.add(credential)
    return Issued(credential, secret)


class Authenticator:
    """Recognises credentials. Remembers an answer for two seconds, so a revocation holds within five everywhere."""

    REMEMBER: ClassVar = timedelta(seconds=2)
    MOST: ClassVar = 10_000

    def __init__(self, database: Database, hasher: Hasher, *, operator_key: str | None) -> None:
        self._database = database
        self._hasher = hasher
        self._operator_hash = hasher(operator_key) if operator_key else None
        self._known: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()

    async def recognise(self, presented: str) -> Principal | None:
        """The principal behind a credential, or None if it is unknown, expired or revoked."""
        digest = self._hasher(presented)
        if self._operator_hash and hmac.compare_digest(digest, self._operator_hash):
            return Principal(kind=Kind.OPERATOR, name="operator")
        now = time.monotonic()
        remembered = self._known.get(digest)
        if remembered and remembered[0] > now:
            return remembered[1]
        self._known.pop(digest, None)
        principal = await self._look_up(digest)
        if principal:
            self._known[digest] = (now + self.REMEMBER.total_seconds(), principal)
            while len(self._known) > self.MOST:
                self._known.popitem(last=False)
        return principal

    async def _look_up(self, digest: bytes) -> Principal | None:
        async with self._database.tenant(None) as session:
            row = (await session.execute(text("SELECT * FROM authenticate(:presented)"), {"presented": digest})).first()
        if row is None:
            return None
        return Principal(
            kind=Kind(row.kind),
            name=row.name,
            organization_id=row.organization_id,
            credential_id=row.id,
            environment_id=row.environment_id,
            execution_id=row.execution_id,
            fence=row.fence,
            model=row.model,
        )

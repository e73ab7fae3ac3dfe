"""Keys and tokens: how they are made, stored and recognised.

A credential is 256 random bits behind a prefix that secret scanners can find. Only its HMAC-SHA256 under the server's
secret key is stored: a stolen table opens nothing, and looking one up costs microseconds.
"""

import asyncio
import hmac
import logging
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID, uuid4

from sqlalchemy import LargeBinary, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.auth import browser_sessions
from control_plane.auth.oidc import Identity, is_token
from control_plane.auth.oidc_sign_in import SignIn
from control_plane.auth.principals import Grant, Kind, Principal
from control_plane.db import Base, Database, Resource, TenantOwned, now
from control_plane.problems import Conflict

logger = logging.getLogger(__name__)

PREFIXES = {
    Kind.API_KEY: "cp_key_",
    Kind.WORKER_KEY: "cp_worker_",
    Kind.JOIN_TOKEN: "cpj_",
    Kind.WORKER_SESSION: "cps_",
    Kind.EXECUTION_TOKEN: "cp_exec_",
}


_NOTE_USE = text(
    "UPDATE credentials SET last_used_at = clock_timestamp()"
    " WHERE id = :id AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute')"
)


class Credential(Base, Resource, TenantOwned):
    """A key or token of an organization. `hint` is the end of it, so that people can tell two apart.

    `worker_id` is the worker of a session, and for execution tokens the one that claimed: it ends with what that worker
    joined with. `redeemed_at` is when a join token was used up.
    """

    __tablename__ = "credentials"

    kind: Mapped[str]
    name: Mapped[str]
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    hint: Mapped[str]
    environment_id: Mapped[UUID | None]
    execution_id: Mapped[UUID | None]
    fence: Mapped[int | None]
    worker_id: Mapped[UUID | None]
    service_account_id: Mapped[UUID | None]
    created_by: Mapped[str]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    redeemed_at: Mapped[datetime | None]
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
    created_by: str,
    environment_id: UUID | None = None,
    execution_id: UUID | None = None,
    fence: int | None = None,
    worker_id: UUID | None = None,
    service_account_id: UUID | None = None,
    expires_at: datetime | None = None,
) -> Issued:
    """Make a credential and add its hash to the session. The secret can't be read again later."""
    secret = PREFIXES[kind] + secrets.token_urlsafe(32)
    credential = Credential(
        id=uuid4(),
        organization_id=organization_id,
        kind=kind,
        name=name,
        hash=hasher(secret),
        hint=secret[-4:],
        environment_id=environment_id,
        execution_id=execution_id,
        fence=fence,
        worker_id=worker_id,
        service_account_id=service_account_id,
        created_by=created_by,
        expires_at=expires_at,
    )
    session.add(credential)
    return Issued(credential, secret)


class KeyEnded(Conflict):
    """The key has expired or been revoked, so there is nothing left to change. Issue a new one."""

    code, title = "key_ended", "The key doesn't work any more"


async def revoke(session: AsyncSession, credential: Credential) -> None:
    """Stop a credential for good. Repeating it is harmless."""
    if credential.revoked_at is None:
        credential.revoked_at = await now(session)
        await session.flush()


async def rotate(
    session: AsyncSession, hasher: Hasher, credential: Credential, *, created_by: str, overlap: timedelta
) -> Issued:
    """A new credential in place of a locked one, which works on for `overlap` at most. Raises `KeyEnded`."""
    moment = await now(session)
    if credential.revoked_at or (credential.expires_at and credential.expires_at <= moment):
        raise KeyEnded("The key has expired or been revoked. Issue a new one.")
    issued = issue(
        session,
        hasher,
        kind=Kind(credential.kind),
        organization_id=credential.organization_id,
        name=credential.name,
        created_by=created_by,
        environment_id=credential.environment_id,
        service_account_id=credential.service_account_id,
        expires_at=credential.expires_at,
    )
    end = moment + overlap
    credential.expires_at = min(credential.expires_at or end, end)
    await session.flush()
    return issued


class Authenticator:
    """Recognises credentials. Remembers an answer for two seconds, so a revocation holds within five everywhere."""

    REMEMBER: ClassVar = timedelta(seconds=2)
    MOST: ClassVar = 10_000

    def __init__(self, database: Database, hasher: Hasher, *, operator_key: str | None, sign_in: SignIn) -> None:
        self.sign_in = sign_in
        self._database = database
        self._hasher = hasher
        self._operator_hash = hasher(operator_key) if operator_key else None
        self._known: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()
        self._notes: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """Wait until every use is noted."""
        await asyncio.gather(*self._notes)

    async def recognise(self, presented: str, *, organization: str | None = None) -> Principal | None:
        """The principal behind a credential, or None if it is unknown, expired or revoked.

        `organization` chooses among those of a person with a sign-in token, for which it raises as `SignIn` does.
        """
        digest = self._hasher(presented)
        if self._operator_hash and hmac.compare_digest(digest, self._operator_hash):
            return Principal(kind=Kind.OPERATOR, name="operator")
        if is_token(presented):
            return await self.sign_in.recognise(presented, organization=organization)
        return await self._recognise_hash(digest)

    async def recognise_session(self, token: str, *, organization: str | None = None) -> Principal | None:
        """The principal behind a browser session, or None if it has ended or the key that opened it has.

        Asked anew each time, so that signing out holds at once. Raises `Forbidden` as `SignIn` does.
        """
        holder = await browser_sessions.find(self._database, self._hasher(token))
        if holder is None:
            return None
        if isinstance(holder, bytes):
            return await self._recognise_hash(holder)
        return await self.sign_in.principal_of(holder, organization=organization)

    async def principals_of(self, holder: Identity | bytes) -> list[Principal]:
        """All principals that the holder of a browser session is: a person one in each of their organizations."""
        if isinstance(holder, Identity):
            return await self.sign_in.principals_of(holder)
        principal = await self._recognise_hash(holder)
        return [principal] if principal else []

    async def _recognise_hash(self, digest: bytes) -> Principal | None:
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
        if row.use_unnoted:
            # In the background: no request waits for it, and once a minute it is worth a statement.
            task = asyncio.create_task(self._note_use(row.organization_id, row.id))
            self._notes.add(task)
            task.add_done_callback(self._notes.discard)
        return Principal(
            kind=Kind(row.kind),
            name=row.name,
            organization_id=row.organization_id,
            credential_id=row.id,
            environment_id=row.environment_id,
            session_id=row.session_id,
            worker_queue_id=row.worker_queue_id,
            draining=row.draining,
            execution_id=row.execution_id,
            fence=row.fence,
            model=row.model,
            grants=tuple(Grant.of(stored) for stored in row.grants),
        )

    async def _note_use(self, organization_id: UUID, credential_id: UUID) -> None:
        try:
            async with self._database.tenant(organization_id) as session:
                await session.execute(_NOTE_USE, {"id": credential_id})
        except SQLAlchemyError as error:
            logger.warning("the use of a key could not be noted: %s", type(error).__name__)

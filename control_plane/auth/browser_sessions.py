"""Browsers that are signed in: one row each, outside of all organizations, since a person may belong to several.

A session says who somebody is, never what they may do: that is asked anew with each request. No token of a provider is
kept. What the browser holds opens nothing elsewhere, and only its hash is stored.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import LargeBinary, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.auth.oidc import Identity
from control_plane.db import Base, Database, Listed
from control_plane.problems import Problem

PREFIX = "cpb_"


class BrowserSession(Base, Listed):
    """A session of a person (`issuer`, `subject`, a verified `email`) or of whoever has an API key."""

    __tablename__ = "browser_sessions"

    hash: Mapped[bytes] = mapped_column(LargeBinary)
    sign_in_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    issuer: Mapped[str | None]
    subject: Mapped[str | None]
    email: Mapped[str | None]
    credential_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose session it is: a person, by the sign-in that is hashed beside, or whoever has the API key of this hash."""

    of: Identity | bytes
    sign_in_hash: bytes | None = None


class SignInUsed(Problem):
    """The sign-in has opened a session before."""

    code, title = "sign_in_used", "The sign-in was used already"


async def start(session: AsyncSession, hasher: Callable[[str], bytes], holder: Holder, *, lifetime: timedelta) -> str:
    """Open a session; its token, which exists only here and in the browser. Raises `SignInUsed`.

    This and `end` take a transaction that is in no organization, so that what is written down of it stands or falls
    with it.
    """
    token = PREFIX + secrets.token_urlsafe(32)
    identity, credential_hash = (holder.of, None) if isinstance(holder.of, Identity) else (None, holder.of)
    row = BrowserSession(
        hash=hasher(token),
        sign_in_hash=holder.sign_in_hash,
        issuer=identity.issuer if identity else None,
        subject=identity.subject if identity else None,
        email=identity.email if identity else None,
        credential_hash=credential_hash,
        expires_at=func.clock_timestamp() + lifetime,
    )
    session.add(row)
    try:
        await session.flush()
    except IntegrityError as error:
        raise SignInUsed("This sign-in was used already. Sign in again.") from error
    return token


async def find(database: Database, digest: bytes) -> Identity | bytes | None:
    """Whose session has this hash: a person, or the hash of an API key. None if there is none or it has ended."""
    asked = select(
        BrowserSession.issuer, BrowserSession.subject, BrowserSession.email, BrowserSession.credential_hash
    ).where(
        BrowserSession.hash == digest,
        BrowserSession.revoked_at.is_(None),
        BrowserSession.expires_at > func.clock_timestamp(),
    )
    async with database.tenant(None) as session:
        row = (await session.execute(asked)).first()
    if row is None:
        return None
    if row.credential_hash is not None:
        return bytes(row.credential_hash)
    return Identity(row.issuer, row.subject, row.email)


async def end(session: AsyncSession, digest: bytes) -> bool:
    """End a session for good; whether it was there to be ended. Repeating it is harmless, and so is ending none."""
    ended = (
        update(BrowserSession)
        .where(
            BrowserSession.hash == digest,
            BrowserSession.revoked_at.is_(None),
            BrowserSession.expires_at > func.clock_timestamp(),
        )
        .values(revoked_at=func.clock_timestamp())
        .returning(BrowserSession.id)
    )
    return await session.scalar(ended) is not None


async def forget_ended(database: Database) -> None:
    """Delete the sessions whose time is over.

    One that was ended early stays until then: it is what keeps its sign-in from being used a second time.
    """
    async with database.tenant(None) as session:
        await session.execute(delete(BrowserSession).where(BrowserSession.expires_at < func.clock_timestamp()))

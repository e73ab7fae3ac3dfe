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
    """Whose session it is: a person, by the sign-in that is hashed beside, or the API key that is hashed."""

    identity: Identity | None = None
    sign_in_hash: bytes | None = None
    credential_hash: bytes | None = None


class SignInUsed(Problem):
    """The sign-in has opened a session before."""

    code, title = "sign_in_used", "The sign-in was used already"


async def start(database: Database, hasher: Callable[[str], bytes], holder: Holder, *, lifetime: timedelta) -> str:
    """Open a session; its token, which exists only here and in the browser. Raises `SignInUsed`."""
    token = PREFIX + secrets.token_urlsafe(32)
    identity = holder.identity
    row = BrowserSession(
        hash=hasher(token),
        sign_in_hash=holder.sign_in_hash,
        issuer=identity.issuer if identity else None,
        subject=identity.subject if identity else None,
        email=identity.email if identity else None,
        credential_hash=holder.credential_hash,
        expires_at=func.clock_timestamp() + lifetime,
    )
    try:
        async with database.tenant(None) as session:
            session.add(row)
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


async def end(database: Database, digest: bytes) -> None:
    """End a session for good. Repeating it is harmless, and so is ending none."""
    async with database.tenant(None) as session:
        await session.execute(
            update(BrowserSession)
            .where(BrowserSession.hash == digest, BrowserSession.revoked_at.is_(None))
            .values(revoked_at=func.clock_timestamp())
        )


async def forget_ended(database: Database) -> None:
    """Delete the sessions whose time is over.

    One that was ended early stays until then: it is what keeps its sign-in from being used a second time.
    """
    async with database.tenant(None) as session:
        await session.execute(delete(BrowserSession).where(BrowserSession.expires_at < func.clock_timestamp()))

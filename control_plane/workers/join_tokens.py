"""Join tokens: each lets one worker in, once."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import CursorResult, func, update
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.auth.credentials import Credential, Hasher, Issued
from control_plane.auth.principals import Kind, Principal
from control_plane.db import now
from control_plane.environments import credentials
from control_plane.problems import Conflict
from control_plane.workers.schemas import JoinTokenCreate

LONGEST_STAY = timedelta(hours=24)
"""How long a worker that joined with a token can renew its session. Whoever stays longer has a worker key."""


class JoinTokenUsed(Conflict):
    """A worker has joined with this token before. Make a new token for each worker."""

    code, title = "join_token_used", "The join token is used up"


async def create(
    session: AsyncSession, principal: Principal, environment_id: UUID, body: JoinTokenCreate, *, hasher: Hasher
) -> Issued:
    """A new token. Raises `NotFound`."""
    return await credentials.create(
        session,
        principal,
        environment_id,
        kind=Kind.JOIN_TOKEN,
        name=body.name,
        expires_at=await now(session) + timedelta(seconds=body.expires_in_seconds),
        hasher=hasher,
    )


async def redeem(session: AsyncSession, join_token_id: UUID) -> None:
    """Use a token up; from here on it only renews the session of whoever did. Raises `JoinTokenUsed`."""
    # Of those that come at once, all but the first wait here for its commit, and then find nothing to change.
    statement = (
        update(Credential)
        .where(Credential.id == join_token_id, Credential.redeemed_at.is_(None))
        .values(redeemed_at=func.now(), expires_at=func.now() + LONGEST_STAY)
        .execution_options(synchronize_session=False)
    )
    changed = await session.execute(statement)
    if not isinstance(changed, CursorResult) or changed.rowcount != 1:
        raise JoinTokenUsed("A worker has joined with this token before. Make a new one for each worker.")

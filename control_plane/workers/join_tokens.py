"""Join tokens: each lets one worker in, once."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import CursorResult, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.auth.credentials import Credential, Hasher, Issued, issue
from control_plane.auth.principals import Kind, Principal
from control_plane.db import now
from control_plane.environments import service as environments
from control_plane.pagination import Page
from control_plane.problems import Conflict, NotFound
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
    environment = await environments.get(session, environment_id)
    issued = issue(
        session,
        hasher,
        kind=Kind.JOIN_TOKEN,
        organization_id=environment.organization_id,
        name=body.name,
        created_by=principal.label,
        environment_id=environment.id,
        expires_at=await now(session) + timedelta(seconds=body.expires_in_seconds),
    )
    await session.flush()
    return issued


async def get(session: AsyncSession, environment_id: UUID, join_token_id: UUID, *, lock: bool = False) -> Credential:
    """One token of an environment, locked if asked. Raises `NotFound`."""
    await environments.get(session, environment_id)
    statement = select(Credential).where(
        Credential.id == join_token_id,
        Credential.environment_id == environment_id,
        Credential.kind == Kind.JOIN_TOKEN,
    )
    found = await session.scalar(statement.with_for_update() if lock else statement)
    if found is None:
        raise NotFound.of("join token", join_token_id)
    return found


async def listed(session: AsyncSession, page: Page, environment_id: UUID) -> list[Credential]:
    """A page of the tokens of an environment. Raises `NotFound`."""
    await environments.get(session, environment_id)
    statement = select(Credential).where(
        Credential.environment_id == environment_id, Credential.kind == Kind.JOIN_TOKEN
    )
    return await page.fetch(session, statement, Credential)


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

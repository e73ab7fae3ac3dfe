"""Bringing all secrets of all organizations under the newest master key, while servers run.

Only the wrapped keys change, not the values. Each batch is a transaction of its own, so what is done stays done when it
is interrupted, and doing it again does only what is left.
"""

from collections.abc import Callable
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db import Database
from control_plane.secrets.encryption import Keyring, Tampered, UnknownKey
from control_plane.secrets.models import Secret, SecretValue
from control_plane.secrets.service import place, sealed

BATCH = 100
"""Rows locked at once: some milliseconds of work, which is how long a replacement of one of them waits."""


class RotationIncomplete(Exception):
    """Some secrets could not be brought under the newest key; all others were. `str()` names them."""


async def rotate(database: Database, keyring: Keyring, *, progress: Callable[[int], None]) -> int:
    """How many data keys were wrapped anew; `progress` gets the number so far after each batch.

    Raises `RotationIncomplete` at the end if there are some that no key of ours opens.
    """
    done = 0
    failures: list[str] = []
    async with database.tenant(None) as session:
        organizations = list(await session.scalars(text("SELECT id FROM all_organizations() ORDER BY id")))
    for organization_id in organizations:
        after: UUID | None = None
        while True:
            async with database.tenant(organization_id) as session:
                batch = await _next(session, keyring, after=after)
                for secret, stored in batch:
                    try:
                        stored.key_id, stored.wrapped_key = _rewrapped(keyring, secret, stored)
                        done += 1
                    except (UnknownKey, Tampered) as error:
                        failures.append(f"{secret.name} of organization {organization_id}: {error}")
            if not batch:
                break
            after = batch[-1][0].id
            progress(done)
    if failures:
        raise RotationIncomplete(
            f"{done} data keys are under the key {keyring.newest} now; {len(failures)} could not be: "
            + "; ".join(failures)
        )
    return done


async def _next(session: AsyncSession, keyring: Keyring, *, after: UUID | None) -> list[tuple[Secret, SecretValue]]:
    """The next secrets with their values that are under another key than the newest, locked."""
    statement = (
        select(Secret, SecretValue)
        .join(SecretValue, SecretValue.secret_id == Secret.id)
        .where(SecretValue.key_id != keyring.newest)
        .order_by(Secret.id)
        .limit(BATCH)
        # In the order in which a replacement locks them, or the two could wait for each other.
        .with_for_update()
    )
    if after is not None:
        statement = statement.where(Secret.id > after)
    return [(secret, stored) for secret, stored in await session.execute(statement)]


def _rewrapped(keyring: Keyring, secret: Secret, stored: SecretValue) -> tuple[str, bytes]:
    rewrapped = keyring.rewrap(sealed(stored), place(secret))
    return rewrapped.key_id, rewrapped.wrapped_key

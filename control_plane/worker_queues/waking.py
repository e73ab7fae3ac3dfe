"""How those who wait for something to do in an environment are woken: see `executions.wake` for how they wait."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

CHANNEL = "claimable_executions"
"""PostgreSQL notification channel; the payload is the environment's id, or that of a worker whose places are taken."""


async def tell(session: AsyncSession, subject: UUID) -> None:
    """Wake a worker of the environment, or this worker, once this is committed."""
    await session.execute(text("SELECT pg_notify(:channel, :id)"), {"channel": CHANNEL, "id": str(subject)})

"""How those who wait for something to do in an environment are woken: see `executions.wake` for how they wait."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

CHANNEL = "claimable_executions"
"""PostgreSQL notification channel; the payload is the environment's id."""


async def tell(session: AsyncSession, environment_id: UUID) -> None:
    """Wake a worker of the environment once this is committed."""
    await session.execute(text("SELECT pg_notify(:channel, :id)"), {"channel": CHANNEL, "id": str(environment_id)})

"""What an execution used of models, by the server's own records: a worker may be lost before it says so."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.usage import service as usage
from control_plane.wire.executions import Usage


async def counted(session: AsyncSession, execution_id: UUID, reported: Usage | None) -> Usage | None:
    """What the worker reported, with tokens, turns and cost as recorded. A model that isn't ours leaves no record."""
    recorded = await usage.of_execution(session, execution_id)
    if not recorded.any:
        return reported
    return (reported or Usage()).model_copy(
        update={
            "input_tokens": recorded.input_tokens,
            "output_tokens": recorded.output_tokens,
            "model_turns": recorded.calls,
            "cost_usd": None if recorded.cost_usd is None else float(recorded.cost_usd),
        }
    )

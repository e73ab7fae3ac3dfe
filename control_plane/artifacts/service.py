"""Artifacts: stored by the process of an execution, read by people."""

import hashlib
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.artifacts.models import Artifact
from control_plane.artifacts.schemas import ArtifactRead
from control_plane.auth.principals import ExecutionPrincipal
from control_plane.executions import claims
from control_plane.executions import service as executions
from control_plane.pagination import Page
from control_plane.problems import Conflict, NotFound

MOST_IN_ALL = 20
"""How many of the largest artifacts fit into what one execution may keep."""

MOST_COUNTED = 1_000
"""Artifacts of one execution, however small."""


_TABLE = Artifact.__table__
_SHOWN = select(*(_TABLE.c[name] for name in ArtifactRead.model_fields))


class ArtifactsFull(Conflict):
    """The execution has kept as much as one may."""

    code, title = "artifacts_full", "The execution keeps no more artifacts"


async def keep(
    session: AsyncSession,
    holder: ExecutionPrincipal,
    *,
    key: str,
    name: str,
    media_type: str,
    content: bytes,
    fence: int,
    largest: int,
) -> UUID:
    """Store an artifact of a claim that counts. Under the same key it is stored once; then this changes nothing.

    `largest` is how many bytes one may have. Raises `LeaseLost` and `ArtifactsFull`.
    """
    execution = await claims.held(session, holder, fence=fence)
    artifact_id = uuid5(execution.id, f"artifact {key}")
    if await session.scalar(select(Artifact.id).where(Artifact.id == artifact_id)):
        return artifact_id
    kept, total = (
        await session.execute(
            select(func.count(), func.coalesce(func.sum(Artifact.size), 0)).where(Artifact.execution_id == execution.id)
        )
    ).one()
    if kept >= MOST_COUNTED or total + len(content) > MOST_IN_ALL * largest:
        raise ArtifactsFull(f"The execution keeps {kept} artifacts with {total} bytes already.")
    await session.execute(
        insert(Artifact).values(
            id=artifact_id,
            organization_id=execution.organization_id,
            execution_id=execution.id,
            name=name,
            media_type=media_type,
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            content=content,
        )
    )
    return artifact_id


async def listed(session: AsyncSession, execution_id: UUID, page: Page) -> list[dict[str, Any]]:
    """A page of an execution's artifacts, without their content. Raises `NotFound`."""
    await executions.get(session, execution_id)
    return await page.fetch_columns(session, _SHOWN.where(_TABLE.c.execution_id == execution_id), _TABLE)


async def get(session: AsyncSession, execution_id: UUID, artifact_id: UUID) -> Artifact:
    """One artifact with its content. Raises `NotFound`."""
    statement = select(Artifact).where(Artifact.execution_id == execution_id, Artifact.id == artifact_id)
    artifact = await session.scalar(statement)
    if artifact is None:
        raise NotFound.of("artifact", artifact_id)
    return artifact

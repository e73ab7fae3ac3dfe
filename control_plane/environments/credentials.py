"""What lets workers into one environment and into no other: its worker keys and its join tokens."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.auth.credentials import Credential, Hasher, Issued, issue
from control_plane.auth.principals import Kind, Principal
from control_plane.environments import service as environments
from control_plane.pagination import Page
from control_plane.problems import NotFound

OfEnvironment = Literal[Kind.WORKER_KEY, Kind.JOIN_TOKEN]


async def create(
    session: AsyncSession,
    principal: Principal,
    environment_id: UUID,
    *,
    kind: OfEnvironment,
    name: str,
    expires_at: datetime | None,
    hasher: Hasher,
) -> Issued:
    """A new one. Raises `NotFound`."""
    environment = await environments.get(session, environment_id)
    issued = issue(
        session,
        hasher,
        kind=kind,
        organization_id=environment.organization_id,
        name=name,
        created_by=principal.label,
        environment_id=environment.id,
        expires_at=expires_at,
    )
    await session.flush()
    return issued


async def get(
    session: AsyncSession, environment_id: UUID, credential_id: UUID, *, kind: OfEnvironment, lock: bool = False
) -> Credential:
    """One of an environment, locked if asked. Raises `NotFound`."""
    await environments.get(session, environment_id)
    statement = select(Credential).where(
        Credential.id == credential_id, Credential.environment_id == environment_id, Credential.kind == kind
    )
    found = await session.scalar(statement.with_for_update() if lock else statement)
    if found is None:
        raise NotFound.of(kind.replace("_", " "), credential_id)
    return found


async def listed(session: AsyncSession, page: Page, environment_id: UUID, *, kind: OfEnvironment) -> list[Credential]:
    """A page of those of an environment. Raises `NotFound`."""
    await environments.get(session, environment_id)
    statement = select(Credential).where(Credential.environment_id == environment_id, Credential.kind == kind)
    return await page.fetch(session, statement, Credential)

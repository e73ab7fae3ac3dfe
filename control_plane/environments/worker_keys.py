"""Worker keys: with one, workers join its environment, and no other."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.auth.credentials import Credential, Hasher, Issued, issue
from control_plane.auth.principals import Kind, Principal
from control_plane.environments import service as environments
from control_plane.organizations.schemas import KeyCreate
from control_plane.pagination import Page
from control_plane.problems import NotFound


async def create(
    session: AsyncSession, principal: Principal, environment_id: UUID, body: KeyCreate, *, hasher: Hasher
) -> Issued:
    """A new key. Raises `NotFound`."""
    environment = await environments.get(session, environment_id)
    issued = issue(
        session,
        hasher,
        kind=Kind.WORKER_KEY,
        organization_id=environment.organization_id,
        name=body.name,
        created_by=principal.label,
        environment_id=environment.id,
        expires_at=body.expires_at,
    )
    await session.flush()
    return issued


async def get(session: AsyncSession, environment_id: UUID, worker_key_id: UUID, *, lock: bool = False) -> Credential:
    """One worker key of an environment, locked if asked. Raises `NotFound`."""
    await environments.get(session, environment_id)
    statement = select(Credential).where(
        Credential.id == worker_key_id,
        Credential.environment_id == environment_id,
        Credential.kind == Kind.WORKER_KEY,
    )
    found = await session.scalar(statement.with_for_update() if lock else statement)
    if found is None:
        raise NotFound.of("worker key", worker_key_id)
    return found


async def listed(session: AsyncSession, page: Page, environment_id: UUID) -> list[Credential]:
    """A page of the worker keys of an environment. Raises `NotFound`."""
    await environments.get(session, environment_id)
    statement = select(Credential).where(
        Credential.environment_id == environment_id, Credential.kind == Kind.WORKER_KEY
    )
    return await page.fetch(session, statement, Credential)

"""API keys of an organization."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.api_keys.schemas import ApiKeyCreate, ApiKeyIssued, ApiKeyRead
from control_plane.auth import credentials
from control_plane.auth.credentials import Credential, Hasher, issue
from control_plane.auth.principals import Grant, Kind, Principal
from control_plane.auth.roles import OWNER
from control_plane.organizations.schemas import KeyCreate
from control_plane.pagination import Page
from control_plane.problems import Conflict, Invalid, NotFound
from control_plane.roles import grants
from control_plane.roles.grants import Held
from control_plane.roles.models import RoleGrant
from control_plane.roles.schemas import RoleGranted
from control_plane.service_accounts import service as service_accounts
from control_plane.service_accounts.models import ServiceAccount


class HasOwner(Conflict):
    """The organization has an owner, who makes every further key."""

    code, title = "has_owner", "The organization has an owner"


async def bootstrap(
    session: AsyncSession, principal: Principal, organization_id: UUID, body: KeyCreate, *, hasher: Hasher
) -> ApiKeyIssued:
    """The first owner's key. Raises `HasOwner` if there is an owner, `NotFound` if there is no organization."""
    if await grants.has_owner(session):
        raise HasOwner("The organization has an owner already. Ask for a key there.")
    issued = issue(
        session,
        hasher,
        kind=Kind.API_KEY,
        organization_id=organization_id,
        name=body.name,
        created_by=principal.label,
        expires_at=body.expires_at,
    )
    session.add(RoleGrant(organization_id=organization_id, role=OWNER, credential_id=issued.credential.id))
    await session.flush()
    return ApiKeyIssued.of(issued.credential, key=issued.secret, role=OWNER, project_id=None)


async def create(session: AsyncSession, principal: Principal, body: ApiKeyCreate, *, hasher: Hasher) -> ApiKeyIssued:
    """A new key. Raises `Forbidden` for more than the creator may do, `Invalid` for what doesn't exist."""
    if body.service_account_id is not None:
        await _check_account(session, principal, body.service_account_id)
    issued = issue(
        session,
        hasher,
        kind=Kind.API_KEY,
        organization_id=principal.tenant,
        name=body.name,
        created_by=principal.label,
        service_account_id=body.service_account_id,
        expires_at=body.expires_at,
    )
    await session.flush()
    if body.role is not None:
        wanted = RoleGranted(role=body.role, project_id=body.project_id)
        await grants.grant(session, principal, [wanted], to=issued.credential, location="body.role")
    return ApiKeyIssued.of(issued.credential, key=issued.secret, role=body.role, project_id=body.project_id)


async def get(session: AsyncSession, api_key_id: UUID, *, lock: bool = False) -> Credential:
    """One API key, locked if asked. Raises `NotFound`."""
    statement = select(Credential).where(Credential.id == api_key_id, Credential.kind == Kind.API_KEY)
    found = await session.scalar(statement.with_for_update() if lock else statement)
    if found is None:
        raise NotFound.of("API key", api_key_id)
    return found


async def listed(
    session: AsyncSession, page: Page, *, service_account_id: UUID | None, name: str | None
) -> list[ApiKeyRead]:
    """A page of API keys, those that don't work any more too."""
    statement = select(Credential).where(Credential.kind == Kind.API_KEY)
    if service_account_id is not None:
        statement = statement.where(Credential.service_account_id == service_account_id)
    if name is not None:
        statement = statement.where(Credential.name == name)
    found = await page.fetch(session, statement, Credential)
    held = await grants.held_by_all(session, found)
    return [_shown(key, held.get(key.id, [])) for key in found]


async def read(session: AsyncSession, key: Credential) -> ApiKeyRead:
    """What the API shows of a key."""
    return _shown(key, await grants.held_by(session, key))


async def revoke(session: AsyncSession, principal: Principal, key: Credential) -> None:
    """Stop a locked key. Raises `Forbidden` for a key that may do more than the principal, `LastOwner`."""
    held = await _check_may_touch(session, principal, key)
    if key.revoked_at is None:
        await credentials.revoke(session, key)
        if key.service_account_id is None and grants.makes_owner(held):
            await grants.keep_an_owner(session)


async def rotate(
    session: AsyncSession, principal: Principal, key: Credential, *, overlap: timedelta, hasher: Hasher
) -> ApiKeyIssued:
    """A new key in place of a locked one. Raises `Forbidden` as `revoke` does, and `KeyEnded`."""
    await _check_may_touch(session, principal, key)
    issued = await credentials.rotate(session, hasher, key, created_by=principal.label, overlap=overlap)
    rows = await session.scalars(select(RoleGrant).where(RoleGrant.credential_id == key.id))
    for row in list(rows):
        session.add(
            RoleGrant(
                organization_id=row.organization_id,
                role=row.role,
                role_id=row.role_id,
                project_id=row.project_id,
                credential_id=issued.credential.id,
            )
        )
    await session.flush()
    shown = await read(session, issued.credential)
    return ApiKeyIssued(**shown.model_dump(), key=issued.secret)


async def _check_account(session: AsyncSession, principal: Principal, service_account_id: UUID) -> None:
    try:
        account = await service_accounts.get(session, service_account_id)
    except NotFound as error:
        raise Invalid(error.detail, location="body.service_account_id") from error
    await grants.check_may_touch(session, principal, account)


async def _check_may_touch(session: AsyncSession, principal: Principal, key: Credential) -> list[Grant]:
    holder: Credential | ServiceAccount = key
    if key.service_account_id is not None:
        holder = await service_accounts.get(session, key.service_account_id)
    return await grants.check_may_touch(session, principal, holder)


def _shown(key: Credential, held: list[Held]) -> ApiKeyRead:
    own = held[0].shown if held else None
    return ApiKeyRead.of(key, role=own.role if own else None, project_id=own.project_id if own else None)

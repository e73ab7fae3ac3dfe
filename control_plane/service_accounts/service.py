"""Service accounts: their roles are their own, their keys come and go."""

from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.auth.principals import Principal
from control_plane.db import now
from control_plane.pagination import Page
from control_plane.problems import AlreadyExists, NotFound
from control_plane.roles import grants
from control_plane.service_accounts.models import ServiceAccount
from control_plane.service_accounts.schemas import ServiceAccountCreate, ServiceAccountRead


async def create(session: AsyncSession, principal: Principal, body: ServiceAccountCreate) -> ServiceAccount:
    """A new account. Raises `AlreadyExists`, and as `grants.grant` does."""
    account = ServiceAccount(id=uuid4(), organization_id=principal.tenant, name=body.name, description=body.description)
    session.add(account)
    await _flush(session, body.name)
    await grants.grant(session, principal, body.grants, to=account, location="body.grants")
    return account


async def get(session: AsyncSession, service_account_id: UUID, *, lock: bool = False) -> ServiceAccount:
    """One account, locked if asked. Raises `NotFound`."""
    statement = select(ServiceAccount).where(ServiceAccount.id == service_account_id)
    account = await session.scalar(statement.with_for_update() if lock else statement)
    if account is None:
        raise NotFound.of("service account", service_account_id)
    return account


async def listed(session: AsyncSession, page: Page, *, name: str | None) -> list[ServiceAccountRead]:
    """A page of accounts."""
    statement = select(ServiceAccount)
    if name is not None:
        statement = statement.where(ServiceAccount.name == name)
    found = await page.fetch(session, statement, ServiceAccount)
    held = await grants.held_by_all(session, found)
    return [ServiceAccountRead.of(account, grants=[one.shown for one in held.get(account.id, [])]) for account in found]


async def read(session: AsyncSession, account: ServiceAccount) -> ServiceAccountRead:
    """What the API shows of an account."""
    held = await grants.held_by(session, account)
    return ServiceAccountRead.of(account, grants=[one.shown for one in held])


async def change(session: AsyncSession, principal: Principal, account: ServiceAccount, changes: dict[str, Any]) -> None:
    """Change a locked account. Raises `AlreadyExists`, and `Forbidden` if it may do more than the principal."""
    if (disabled := changes.pop("disabled", None)) is not None:
        changes["disabled_at"] = (account.disabled_at or await now(session)) if disabled else None
    await grants.change(session, principal, account, changes)
    await _flush(session, account.name)


async def remove(session: AsyncSession, principal: Principal, account: ServiceAccount) -> None:
    """Remove a locked account with its keys. Raises `Forbidden` if it may do more than the principal."""
    await grants.check_may_touch(session, principal, account)
    await session.execute(delete(ServiceAccount).where(ServiceAccount.id == account.id))


async def _flush(session: AsyncSession, name: str) -> None:
    try:
        await session.flush()
    except IntegrityError as error:
        raise AlreadyExists(f"There is a service account {name!r} already. Choose another name.") from error

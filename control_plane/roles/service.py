"""Custom roles of an organization. Who has which roles: `roles.grants`."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.auth.permissions import MEMBER, Permission
from control_plane.auth.principals import Grant, Principal
from control_plane.auth.roles import BUILT_IN
from control_plane.pagination import Page
from control_plane.problems import AlreadyExists, Conflict, Forbidden, Invalid, NotFound
from control_plane.roles.grants import check_may_give
from control_plane.roles.models import Role
from control_plane.roles.schemas import RoleCreate


class RoleInUse(Conflict):
    """Somebody has the role. Take it from them first."""

    code, title = "role_in_use", "Somebody has the role"


async def create(session: AsyncSession, principal: Principal, body: RoleCreate) -> Role:
    """A new role. Raises `AlreadyExists`, `Forbidden`, `Invalid`."""
    _check_name(body.name)
    role = Role(
        id=uuid4(),
        organization_id=principal.tenant,
        name=body.name,
        description=body.description,
        permissions=_checked(principal, body.permissions),
    )
    session.add(role)
    await _flush(session, body.name)
    return role


async def get(session: AsyncSession, role_id: UUID, *, lock: bool = False) -> Role:
    """One custom role, locked if asked. Raises `NotFound`."""
    statement = select(Role).where(Role.id == role_id)
    role = await session.scalar(statement.with_for_update() if lock else statement)
    if role is None:
        raise NotFound.of("role", role_id)
    return role


async def listed(session: AsyncSession, page: Page, *, name: str | None) -> list[Role]:
    """A page of custom roles."""
    statement = select(Role)
    if name is not None:
        statement = statement.where(Role.name == name)
    return await page.fetch(session, statement, Role)


async def change(session: AsyncSession, principal: Principal, role: Role, changes: dict[str, Any]) -> None:
    """Change a locked role, for everybody who has it. Raises `AlreadyExists`, `Forbidden`, `Invalid`."""
    check_may_give(principal, [Grant(role.name, MEMBER.intersection(role.permissions))])
    if "name" in changes:
        _check_name(changes["name"])
    if "permissions" in changes:
        changes = changes | {"permissions": _checked(principal, changes["permissions"])}
    for name, value in changes.items():
        setattr(role, name, value)
    await _flush(session, role.name)


async def remove(session: AsyncSession, principal: Principal, role: Role) -> None:
    """Remove a locked role that nobody has. Raises `RoleInUse`, `Forbidden`."""
    check_may_give(principal, [Grant(role.name, MEMBER.intersection(role.permissions))])
    try:
        await session.execute(delete(Role).where(Role.id == role.id))
    except IntegrityError as error:
        raise RoleInUse(f"The role {role.name} is granted to somebody. Take it away from them first.") from error


def _checked(principal: Principal, wanted: Iterable[Permission]) -> list[str]:
    wanted = frozenset(wanted)
    if impossible := sorted(wanted - MEMBER):
        raise Invalid(f"No role can hold {', '.join(impossible)}.", location="body.permissions")
    if lacking := sorted(wanted - principal.permissions_in(None)):
        raise Forbidden(f"A role can't hold what you don't have yourself: {', '.join(lacking)}.")
    return sorted(wanted)


def _check_name(name: str) -> None:
    if name in BUILT_IN:
        raise AlreadyExists(f"{name} is a built-in role. Choose another name.")


async def _flush(session: AsyncSession, name: str) -> None:
    try:
        await session.flush()
    except IntegrityError as error:
        raise AlreadyExists(f"There is a role {name} already. Choose another name.") from error

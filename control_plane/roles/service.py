"""Roles, and the two rules of giving them: nobody gives what they don't have, and an organization keeps an owner."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, delete, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.auth.permissions import MEMBER, Permission
from control_plane.auth.principals import Grant, Principal
from control_plane.auth.roles import BUILT_IN, OWNER
from control_plane.organizations.models import Organization
from control_plane.pagination import Page
from control_plane.problems import AlreadyExists, Conflict, Forbidden, Invalid, NotFound
from control_plane.projects import service as projects
from control_plane.roles.models import Role, RoleGrant
from control_plane.roles.schemas import RoleCreate, RoleGranted

_OWNERS = text(
    "SELECT count(*) FROM role_grants g"
    " LEFT JOIN members m ON m.organization_id = g.organization_id AND m.id = g.member_id"
    " LEFT JOIN credentials c ON c.organization_id = g.organization_id AND c.id = g.credential_id"
    " WHERE g.role = 'owner' AND g.project_id IS NULL AND (m.subject IS NOT NULL OR (c.id IS NOT NULL"
    "  AND c.revoked_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > clock_timestamp())))"
)
"""People who can sign in and keys that work. A service account is no owner: it may be left without a key."""


class RoleInUse(Conflict):
    """Somebody has the role. Take it from them first."""

    code, title = "role_in_use", "Somebody has the role"


class LastOwner(Conflict):
    """An organization must keep an owner. Make somebody else an owner first."""

    code, title = "last_owner", "This is the last owner"


@dataclass(frozen=True, slots=True)
class Held:
    """A role that somebody has: what the API shows of it, and what it gives."""

    shown: RoleGranted
    grant: Grant


class Holder(Protocol):
    """A row that roles are granted to."""

    @property
    def id(self) -> UUID: ...
    @property
    def organization_id(self) -> UUID: ...


HolderColumn = Any
"""`RoleGrant.member_id`, `RoleGrant.service_account_id` or `RoleGrant.credential_id`."""


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


async def grant(
    session: AsyncSession,
    principal: Principal,
    wanted: Sequence[RoleGranted],
    *,
    to: Holder,
    column: HolderColumn,
    location: str,
) -> list[Held]:
    """Give roles to a new holder. Raises `Forbidden` for more than the giver has, `Invalid` for what doesn't exist."""
    distinct = list({(one.role, one.project_id): one for one in wanted}.values())
    held = [await _found(session, one, location=location) for one in distinct]
    check_may_give(principal, [one.grant for one, _ in held])
    for one, role_id in held:
        row = RoleGrant(
            organization_id=to.organization_id,
            role=None if role_id else one.shown.role,
            role_id=role_id,
            project_id=one.shown.project_id,
        )
        setattr(row, column.key, to.id)
        session.add(row)
    await session.flush()
    return [one for one, _ in held]


async def replace(
    session: AsyncSession,
    principal: Principal,
    wanted: Sequence[RoleGranted],
    *,
    of: Holder,
    column: HolderColumn,
    location: str,
) -> list[Held]:
    """Give a holder these roles in place of the present ones. Raises as `grant` does, and `LastOwner`."""
    before = [one.grant for one in await held_by(session, of, column=column)]
    check_may_give(principal, before)
    await session.execute(delete(RoleGrant).where(column == of.id))
    given = await grant(session, principal, wanted, to=of, column=column, location=location)
    if makes_owner(before):
        await keep_an_owner(session)
    return given


async def held_by(session: AsyncSession, holder: Holder, *, column: HolderColumn) -> list[Held]:
    """The roles of one holder."""
    return (await held_by_all(session, [holder.id], column=column)).get(holder.id, [])


async def held_by_all(
    session: AsyncSession, holders: Collection[UUID], *, column: HolderColumn
) -> dict[UUID, list[Held]]:
    """The roles of several holders, by their ids."""
    statement = (
        select(column, RoleGrant, Role)
        .outerjoin(Role, Role.id == RoleGrant.role_id)
        .where(_in(column, holders))
        .order_by(RoleGrant.created_at, RoleGrant.id)
    )
    found: dict[UUID, list[Held]] = {}
    for holder_id, row, custom in await session.execute(statement):
        held = MEMBER.intersection(custom.permissions) if custom else BUILT_IN[row.role].permissions
        name = custom.name if custom else row.role
        found.setdefault(holder_id, []).append(
            Held(RoleGranted(role=name, project_id=row.project_id), Grant(name, held, row.project_id))
        )
    return found


def check_may_give(principal: Principal, grants: Iterable[Grant]) -> None:
    """Raise `Forbidden` unless the principal has all of this itself; it may neither give nor take anything else."""
    for one in grants:
        if makes_owner([one]) and not principal.owner:
            raise Forbidden("Only an owner makes, changes or removes an owner.")
        if lacking := sorted(one.effective - principal.permissions_in(one.project_id)):
            where = f"in project {one.project_id}" if one.project_id else "in the organization"
            raise Forbidden(f"The role {one.role} gives what you don't have {where}: {', '.join(lacking)}.")


def makes_owner(grants: Iterable[Grant]) -> bool:
    """Whether these roles make their holder an owner of the organization."""
    return any(one.role == OWNER and one.project_id is None for one in grants)


async def keep_an_owner(session: AsyncSession) -> None:
    """Raise `LastOwner` if what the transaction has done leaves no owner. Call it last."""
    await session.flush()
    if not await has_owner(session):
        raise LastOwner("This would leave the organization without an owner. Make somebody else an owner first.")


async def has_owner(session: AsyncSession) -> bool:
    """Whether the organization has an owner; nobody else can make or remove one until the transaction ends.

    Raises `NotFound` if there is no organization.
    """
    locked = select(Organization.id).with_for_update(key_share=True)
    if await session.scalar(locked) is None:
        raise NotFound("There is no such organization.")
    return bool(await session.scalar(_OWNERS))


async def _found(session: AsyncSession, wanted: RoleGranted, *, location: str) -> tuple[Held, UUID | None]:
    if wanted.project_id is not None:
        try:
            await projects.get(session, wanted.project_id)
        except NotFound as error:
            raise Invalid(error.detail, location=location) from error
    if built_in := BUILT_IN.get(wanted.role):
        return Held(wanted, Grant(wanted.role, built_in.permissions, wanted.project_id)), None
    custom = await session.scalar(select(Role).where(Role.name == wanted.role))
    if custom is None:
        raise Invalid(f"There is no role {wanted.role}. Built in are: {', '.join(BUILT_IN)}.", location=location)
    held = MEMBER.intersection(custom.permissions)
    return Held(wanted, Grant(wanted.role, held, wanted.project_id)), custom.id


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


def _in(column: HolderColumn, holders: Collection[UUID]) -> ColumnElement[bool]:
    matching: ColumnElement[bool] = column.in_(holders)
    return matching

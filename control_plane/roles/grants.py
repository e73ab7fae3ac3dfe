"""Who has which roles, and the two rules of giving them: nobody gives what they don't have, and an owner stays."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.auth.permissions import MEMBER
from control_plane.auth.principals import Grant, Principal
from control_plane.auth.roles import BUILT_IN, OWNER
from control_plane.organizations.models import Organization
from control_plane.problems import Conflict, Forbidden, Invalid, NotFound
from control_plane.projects import service as projects
from control_plane.roles.models import Role, RoleGrant
from control_plane.roles.schemas import RoleGranted

_OWNERS = text(
    "SELECT count(*) FROM role_grants g"
    " LEFT JOIN members m ON m.organization_id = g.organization_id AND m.id = g.member_id"
    " LEFT JOIN credentials c ON c.organization_id = g.organization_id AND c.id = g.credential_id"
    " WHERE g.role = 'owner' AND g.project_id IS NULL AND (m.subject IS NOT NULL OR (c.id IS NOT NULL"
    "  AND c.revoked_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > clock_timestamp())))"
)
"""People who can sign in and keys that work. A service account is no owner: it may be left without a key."""


class LastOwner(Conflict):
    """An organization must keep an owner. Make somebody else an owner first."""

    code, title = "last_owner", "This is the last owner"


@dataclass(frozen=True, slots=True)
class Held:
    """A role that somebody has: what the API shows of it, and what it gives."""

    shown: RoleGranted
    grant: Grant


class Holder(Protocol):
    """A row that roles are granted to: a member, a service account or an API key."""

    @property
    def __tablename__(self) -> str: ...
    @property
    def id(self) -> UUID: ...
    @property
    def organization_id(self) -> UUID: ...


_COLUMNS: dict[str, Any] = {
    "members": RoleGrant.member_id,
    "service_accounts": RoleGrant.service_account_id,
    "credentials": RoleGrant.credential_id,
}


async def grant(
    session: AsyncSession, principal: Principal, wanted: Sequence[RoleGranted], *, to: Holder, location: str
) -> None:
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
        setattr(row, _COLUMNS[to.__tablename__].key, to.id)
        session.add(row)
    await session.flush()


async def change(session: AsyncSession, principal: Principal, holder: Holder, changes: dict[str, Any]) -> None:
    """Set what changes in a locked member or service account; `grants` takes the place of all of its roles.

    The columns are left to be flushed. Raises as `check_may_touch` and `grant` do, and `LastOwner`.
    """
    before = await check_may_touch(session, principal, holder)
    columns = changes | {"updated_at": func.clock_timestamp()}
    if (wanted := columns.pop("grants", None)) is not None:
        await session.execute(delete(RoleGrant).where(_COLUMNS[holder.__tablename__] == holder.id))
        given = [RoleGranted(**one) for one in wanted]
        await grant(session, principal, given, to=holder, location="body.grants")
        if makes_owner(before):
            await keep_an_owner(session)
    for name, value in columns.items():
        setattr(holder, name, value)


async def held_by(session: AsyncSession, holder: Holder) -> list[Held]:
    """The roles of one holder."""
    return (await held_by_all(session, [holder])).get(holder.id, [])


async def held_by_all(session: AsyncSession, holders: Sequence[Holder]) -> dict[UUID, list[Held]]:
    """The roles of several holders of one kind, by their ids."""
    if not holders:
        return {}
    column = _COLUMNS[holders[0].__tablename__]
    statement = (
        select(column, RoleGrant, Role)
        .outerjoin(Role, Role.id == RoleGrant.role_id)
        .where(column.in_([holder.id for holder in holders]))
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


async def check_may_touch(session: AsyncSession, principal: Principal, holder: Holder) -> list[Grant]:
    """What a holder has. Raises `Forbidden` if that is more than the principal has, who then may not change it."""
    held = [one.grant for one in await held_by(session, holder)]
    check_may_give(principal, held)
    return held


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

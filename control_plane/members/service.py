"""Members of an organization. Whom a signed-in person stands for is in `auth.members`."""

from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.auth.principals import Principal
from control_plane.members.models import Member
from control_plane.members.schemas import MemberCreate, MemberRead
from control_plane.pagination import Page
from control_plane.problems import AlreadyExists, NotFound
from control_plane.roles import grants
from control_plane.roles.grants import Held


async def create(session: AsyncSession, principal: Principal, body: MemberCreate) -> Member:
    """A new member. Raises `AlreadyExists`, and as `grants.grant` does."""
    member = Member(
        id=uuid4(),
        organization_id=principal.tenant,
        name=body.name,
        issuer=body.issuer,
        subject=body.subject,
        email=body.email,
    )
    session.add(member)
    try:
        await session.flush()
    except IntegrityError as error:
        raise AlreadyExists("This person is a member, or invited, already.") from error
    await grants.grant(session, principal, body.grants, to=member, location="body.grants")
    return member


async def get(session: AsyncSession, member_id: UUID, *, lock: bool = False) -> Member:
    """One member, locked if asked. Raises `NotFound`."""
    statement = select(Member).where(Member.id == member_id)
    member = await session.scalar(statement.with_for_update() if lock else statement)
    if member is None:
        raise NotFound.of("member", member_id)
    return member


async def listed(session: AsyncSession, page: Page, *, email: str | None) -> list[MemberRead]:
    """A page of members."""
    statement = select(Member)
    if email is not None:
        statement = statement.where(func.lower(Member.email) == email.lower())
    found = await page.fetch(session, statement, Member)
    held = await grants.held_by_all(session, found)
    return [_shown(member, held.get(member.id, [])) for member in found]


async def read(session: AsyncSession, member: Member) -> MemberRead:
    """What the API shows of a member."""
    return _shown(member, await grants.held_by(session, member))


async def change(session: AsyncSession, principal: Principal, member: Member, changes: dict[str, Any]) -> None:
    """Change a locked member. Raises `Forbidden` if they may do more than the principal, `LastOwner`."""
    await grants.change(session, principal, member, changes)
    await session.flush()


async def remove(session: AsyncSession, principal: Principal, member: Member) -> None:
    """Remove a locked member. Raises `Forbidden` if they may do more than the principal, `LastOwner`."""
    held = await grants.check_may_touch(session, principal, member)
    await session.execute(delete(Member).where(Member.id == member.id))
    if grants.makes_owner(held):
        await grants.keep_an_owner(session)


def _shown(member: Member, held: list[Held]) -> MemberRead:
    return MemberRead.of(member, grants=[one.shown for one in held], status="active" if member.subject else "invited")

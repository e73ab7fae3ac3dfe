"""`/organizations/{organization_id}/members`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from control_plane.auth.dependencies import MayReadMembers, MayWriteMembers, OrganizationDb
from control_plane.contract import Text
from control_plane.etags import CONDITIONAL, CREATED, TAGGED, Conditional, IfMatch, PreconditionFailed, tagged
from control_plane.members import service as members
from control_plane.members.schemas import MemberCreate, MemberPatch, MemberRead
from control_plane.pagination import Paged
from control_plane.problems import AlreadyExists, NotFound, problems
from control_plane.roles.grants import LastOwner
from control_plane.transactions import TenantRoute

router = APIRouter(prefix="/organizations/{organization_id}/members", tags=["members"], route_class=TenantRoute)


@router.post("", status_code=201, responses=problems(NotFound, AlreadyExists) | CREATED)
async def create_member(
    organization_id: UUID, body: MemberCreate, principal: MayWriteMembers, session: OrganizationDb, response: Response
) -> MemberRead:
    """Let a person in, with no more than you may do yourself."""
    member = await members.create(session, principal, body)
    response.headers["Location"] = f"/api/v1/organizations/{organization_id}/members/{member.id}"
    return tagged(response, await members.read(session, member))


@router.get("", responses=problems(NotFound))
async def list_members(
    _: MayReadMembers,
    session: OrganizationDb,
    page: Paged,
    email: Annotated[Text | None, Query(description="Only the one with this address, in whichever case.")] = None,
) -> list[MemberRead]:
    """Members, newest first."""
    return await members.listed(session, page, email=email)


@router.get("/{member_id}", responses=problems(NotFound) | CONDITIONAL)
async def get_member(
    member_id: UUID, _: MayReadMembers, session: OrganizationDb, conditional: Conditional
) -> MemberRead:
    """One member."""
    return conditional.answer(await members.read(session, await members.get(session, member_id)))


@router.patch("/{member_id}", responses=problems(NotFound, LastOwner, PreconditionFailed) | TAGGED)
async def change_member(
    member_id: UUID,
    body: MemberPatch,
    principal: MayWriteMembers,
    session: OrganizationDb,
    if_match: IfMatch,
    response: Response,
) -> MemberRead:
    """Change a member's name or roles. The last owner stays one."""
    member = await members.get(session, member_id, lock=True)
    if_match.check(member)
    await members.change(session, principal, member, body.changes())
    return tagged(response, await members.read(session, member))


@router.delete("/{member_id}", status_code=204, responses=problems(NotFound, LastOwner, PreconditionFailed))
async def delete_member(
    member_id: UUID, principal: MayWriteMembers, session: OrganizationDb, if_match: IfMatch
) -> None:
    """Show a person out. The last owner stays."""
    member = await members.get(session, member_id, lock=True)
    if_match.check(member)
    await members.remove(session, principal, member)

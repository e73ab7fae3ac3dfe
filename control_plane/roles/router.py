"""`/roles` and `/organizations/{organization_id}/roles`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from control_plane.auth.dependencies import MayReadRoles, MayWriteRoles, OrganizationDb
from control_plane.auth.permissions import IN_PROJECTS
from control_plane.auth.roles import BUILT_IN
from control_plane.contract import Text
from control_plane.etags import CONDITIONAL, CREATED, TAGGED, Conditional, IfMatch, PreconditionFailed, tagged
from control_plane.pagination import Paged
from control_plane.problems import AlreadyExists, NotFound, problems
from control_plane.roles import service as roles
from control_plane.roles.schemas import BuiltInRoleRead, RoleCreate, RolePatch, RoleRead
from control_plane.roles.service import RoleInUse
from control_plane.transactions import TenantRoute

router = APIRouter(tags=["roles"], route_class=TenantRoute)

_ROLES = "/organizations/{organization_id}/roles"


@router.get("/roles")
async def list_built_in_roles(_: MayReadRoles) -> list[BuiltInRoleRead]:
    """The roles that every organization has, most powerful first."""
    return [
        BuiltInRoleRead(
            name=role.name,
            description=role.description,
            permissions=sorted(role.permissions),
            in_projects=sorted(role.permissions & IN_PROJECTS),
        )
        for role in BUILT_IN.values()
    ]


@router.post(_ROLES, status_code=201, responses=problems(NotFound, AlreadyExists) | CREATED)
async def create_role(
    organization_id: UUID, body: RoleCreate, principal: MayWriteRoles, session: OrganizationDb, response: Response
) -> RoleRead:
    """Create a role of your own. It may hold only permissions that you have."""
    role = await roles.create(session, principal, body)
    response.headers["Location"] = f"/api/v1/organizations/{organization_id}/roles/{role.id}"
    return tagged(response, RoleRead.of(role))


@router.get(_ROLES, responses=problems(NotFound))
async def list_roles(
    _: MayReadRoles,
    session: OrganizationDb,
    page: Paged,
    name: Annotated[Text | None, Query(description="Only the one of exactly this name.")] = None,
) -> list[RoleRead]:
    """Custom roles, newest first. The built-in ones are at `/roles`."""
    return [RoleRead.of(found) for found in await roles.listed(session, page, name=name)]


@router.get(_ROLES + "/{role_id}", responses=problems(NotFound) | CONDITIONAL)
async def get_role(role_id: UUID, _: MayReadRoles, session: OrganizationDb, conditional: Conditional) -> RoleRead:
    """One custom role."""
    return conditional.answer(RoleRead.of(await roles.get(session, role_id)))


@router.patch(_ROLES + "/{role_id}", responses=problems(NotFound, AlreadyExists, PreconditionFailed) | TAGGED)
async def change_role(
    role_id: UUID,
    body: RolePatch,
    principal: MayWriteRoles,
    session: OrganizationDb,
    if_match: IfMatch,
    response: Response,
) -> RoleRead:
    """Change a custom role, for everybody who has it."""
    role = await roles.get(session, role_id, lock=True)
    if_match.check(role)
    await roles.change(session, principal, role, body.changes())
    return tagged(response, RoleRead.of(role))


@router.delete(_ROLES + "/{role_id}", status_code=204, responses=problems(NotFound, RoleInUse, PreconditionFailed))
async def delete_role(role_id: UUID, principal: MayWriteRoles, session: OrganizationDb, if_match: IfMatch) -> None:
    """Delete a custom role that nobody has."""
    role = await roles.get(session, role_id, lock=True)
    if_match.check(role)
    await roles.remove(session, principal, role)

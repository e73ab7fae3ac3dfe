"""`/organizations`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from control_plane.auth.dependencies import (
    Db,
    MayCreateOrganizations,
    MayDeleteOrganizations,
    MayExportOrganizations,
    MayReadOrganizations,
    MayWriteOrganizations,
    OrganizationDb,
)
from control_plane.contract import Text
from control_plane.db import Base, after_commit
from control_plane.etags import CONDITIONAL, CREATED, TAGGED, Conditional, IfMatch, PreconditionFailed, tagged
from control_plane.organizations import service as organizations
from control_plane.organizations.export import NDJSON, exported
from control_plane.organizations.schemas import OrganizationCreate, OrganizationPatch, OrganizationRead
from control_plane.problems import AlreadyExists, Invalid, NotFound, problems
from control_plane.transactions import TenantRoute

router = APIRouter(prefix="/organizations", tags=["organizations"], route_class=TenantRoute)


@router.post("", status_code=201, responses=problems(AlreadyExists) | CREATED)
async def create_organization(
    body: OrganizationCreate, _: MayCreateOrganizations, session: Db, response: Response
) -> OrganizationRead:
    """Create a tenant. For the operator of the installation."""
    organization = await organizations.create(session, body)
    response.headers["Location"] = f"/api/v1/organizations/{organization.id}"
    return tagged(response, OrganizationRead.of(organization))


@router.get("")
async def list_organizations(
    principal: MayReadOrganizations,
    session: Db,
    slug: Annotated[Text | None, Query(description="Only the one with this slug.")] = None,
) -> list[OrganizationRead]:
    """The organization of your credential."""
    return [OrganizationRead.of(found) for found in await organizations.visible(session, principal, slug=slug)]


@router.get("/{organization_id}", responses=problems(NotFound) | CONDITIONAL)
async def get_organization(
    organization_id: UUID, _: MayReadOrganizations, session: OrganizationDb, conditional: Conditional
) -> OrganizationRead:
    """One organization: your own, or any for the operator."""
    return conditional.answer(OrganizationRead.of(await organizations.get(session, organization_id)))


@router.patch("/{organization_id}", responses=problems(NotFound, PreconditionFailed) | TAGGED)
async def change_organization(
    organization_id: UUID,
    body: OrganizationPatch,
    _: MayWriteOrganizations,
    session: OrganizationDb,
    if_match: IfMatch,
    response: Response,
) -> OrganizationRead:
    """Change the organization's name. Its slug never changes."""
    organization = await organizations.get(session, organization_id, lock=True)
    if_match.check(organization)
    return tagged(response, OrganizationRead.of(await organizations.change(session, organization, body)))


@router.delete("/{organization_id}", status_code=204, responses=problems(NotFound, PreconditionFailed, Invalid))
async def delete_organization(
    organization_id: UUID,
    confirm: Annotated[str, Query(max_length=200, description="The organization's slug, so that it's no mistake.")],
    _: MayDeleteOrganizations,
    session: OrganizationDb,
    if_match: IfMatch,
    request: Request,
) -> None:
    """Delete the organization and all of its data, for good, whatever still runs. Export it first.

    Its keys stop working, its executions stop with them, and its work pools are removed from the orchestrator.
    """
    organization = await organizations.get(session, organization_id, lock=True)
    if_match.check(organization)
    await organizations.remove(session, organization, confirmed=confirm)
    after_commit(session, request.app.state.dispatcher.reconcile_soon)


@router.get(
    "/{organization_id}/export",
    response_class=StreamingResponse,
    responses=problems(NotFound) | {200: {"description": "One JSON object a line.", "content": {NDJSON: {}}}},
)
async def export_organization(
    organization_id: UUID, _: MayExportOrganizations, session: OrganizationDb, request: Request
) -> StreamingResponse:
    """All data of the organization, as it is at this moment: a line `{"table": …, "row": {…}}` for each row.

    Hashes of credentials and encrypted values of secrets are left out.
    """
    organization = await organizations.get(session, organization_id)
    lines = exported(request.app.state.database, organization.id, Base.metadata.sorted_tables)
    return StreamingResponse(lines, media_type=NDJSON)

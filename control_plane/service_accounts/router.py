"""`/organizations/{organization_id}/service-accounts`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from control_plane.auth.dependencies import MayReadServiceAccounts, MayWriteServiceAccounts, OrganizationDb
from control_plane.contract import Text
from control_plane.etags import CONDITIONAL, CREATED, TAGGED, Conditional, IfMatch, PreconditionFailed, tagged
from control_plane.pagination import Paged
from control_plane.problems import AlreadyExists, NotFound, problems
from control_plane.service_accounts import service as service_accounts
from control_plane.service_accounts.schemas import ServiceAccountCreate, ServiceAccountPatch, ServiceAccountRead
from control_plane.transactions import TenantRoute

router = APIRouter(
    prefix="/organizations/{organization_id}/service-accounts", tags=["service accounts"], route_class=TenantRoute
)


@router.post("", status_code=201, responses=problems(NotFound, AlreadyExists) | CREATED)
async def create_service_account(
    organization_id: UUID,
    body: ServiceAccountCreate,
    principal: MayWriteServiceAccounts,
    session: OrganizationDb,
    response: Response,
) -> ServiceAccountRead:
    """Create a service account, with no more than you may do yourself."""
    account = await service_accounts.create(session, principal, body)
    response.headers["Location"] = f"/api/v1/organizations/{organization_id}/service-accounts/{account.id}"
    return tagged(response, await service_accounts.read(session, account))


@router.get("", responses=problems(NotFound))
async def list_service_accounts(
    _: MayReadServiceAccounts,
    session: OrganizationDb,
    page: Paged,
    name: Annotated[Text | None, Query(description="Only the one of exactly this name.")] = None,
) -> list[ServiceAccountRead]:
    """Service accounts, newest first."""
    return await service_accounts.listed(session, page, name=name)


@router.get("/{service_account_id}", responses=problems(NotFound) | CONDITIONAL)
async def get_service_account(
    service_account_id: UUID, _: MayReadServiceAccounts, session: OrganizationDb, conditional: Conditional
) -> ServiceAccountRead:
    """One service account."""
    account = await service_accounts.get(session, service_account_id)
    return conditional.answer(await service_accounts.read(session, account))


@router.patch("/{service_account_id}", responses=problems(NotFound, AlreadyExists, PreconditionFailed) | TAGGED)
async def change_service_account(
    service_account_id: UUID,
    body: ServiceAccountPatch,
    principal: MayWriteServiceAccounts,
    session: OrganizationDb,
    if_match: IfMatch,
    response: Response,
) -> ServiceAccountRead:
    """Change a service account, or disable it: its keys stop working within five seconds."""
    account = await service_accounts.get(session, service_account_id, lock=True)
    if_match.check(account)
    await service_accounts.change(session, principal, account, body.changes())
    return tagged(response, await service_accounts.read(session, account))


@router.delete("/{service_account_id}", status_code=204, responses=problems(NotFound, PreconditionFailed))
async def delete_service_account(
    service_account_id: UUID, principal: MayWriteServiceAccounts, session: OrganizationDb, if_match: IfMatch
) -> None:
    """Delete a service account with its keys."""
    account = await service_accounts.get(session, service_account_id, lock=True)
    if_match.check(account)
    await service_accounts.remove(session, principal, account)

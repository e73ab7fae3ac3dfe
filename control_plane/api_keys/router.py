"""`/organizations/{organization_id}/api-keys`, and the way to the first one."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from control_plane.api_keys import service as api_keys
from control_plane.api_keys.schemas import ApiKeyCreate, ApiKeyIssued, ApiKeyRead
from control_plane.api_keys.service import HasOwner
from control_plane.auth.credentials import KeyEnded
from control_plane.auth.dependencies import (
    Hashing,
    MayBootstrapOrganizations,
    MayCreateApiKeys,
    MayReadApiKeys,
    MayRevokeApiKeys,
    OrganizationDb,
)
from control_plane.contract import Text
from control_plane.organizations.schemas import KeyCreate, KeyRotation
from control_plane.pagination import Paged
from control_plane.problems import NotFound, problems
from control_plane.roles.grants import LastOwner
from control_plane.transactions import TenantRoute

router = APIRouter(prefix="/organizations/{organization_id}", tags=["API keys"], route_class=TenantRoute)


@router.post("/bootstrap", status_code=201, responses=problems(NotFound, HasOwner))
async def bootstrap_organization(
    organization_id: UUID,
    body: KeyCreate,
    principal: MayBootstrapOrganizations,
    session: OrganizationDb,
    hasher: Hashing,
    response: Response,
) -> ApiKeyIssued:
    """Issue the first owner's API key. For the operator of the installation, while the organization has no owner."""
    issued = await api_keys.bootstrap(session, principal, organization_id, body, hasher=hasher)
    response.headers["Location"] = _location(organization_id, issued)
    return issued


@router.post("/api-keys", status_code=201, responses=problems(NotFound))
async def create_api_key(
    organization_id: UUID,
    body: ApiKeyCreate,
    principal: MayCreateApiKeys,
    session: OrganizationDb,
    hasher: Hashing,
    response: Response,
) -> ApiKeyIssued:
    """Issue an API key, with no more than you may do yourself. The key itself is in this answer and nowhere else."""
    issued = await api_keys.create(session, principal, body, hasher=hasher)
    response.headers["Location"] = _location(organization_id, issued)
    return issued


@router.get("/api-keys", responses=problems(NotFound))
async def list_api_keys(
    _: MayReadApiKeys,
    session: OrganizationDb,
    page: Paged,
    service_account_id: Annotated[UUID | None, Query(description="Only those of this service account.")] = None,
    name: Annotated[Text | None, Query(description="Only those of exactly this name.")] = None,
) -> list[ApiKeyRead]:
    """API keys, newest first, those that have expired or been revoked too."""
    return await api_keys.listed(session, page, service_account_id=service_account_id, name=name)


@router.get("/api-keys/{api_key_id}", responses=problems(NotFound))
async def get_api_key(api_key_id: UUID, _: MayReadApiKeys, session: OrganizationDb) -> ApiKeyRead:
    """One API key."""
    return await api_keys.read(session, await api_keys.get(session, api_key_id))


@router.delete("/api-keys/{api_key_id}", status_code=204, responses=problems(NotFound, LastOwner))
async def revoke_api_key(api_key_id: UUID, principal: MayRevokeApiKeys, session: OrganizationDb) -> None:
    """Revoke an API key. It stops working within five seconds, and stays in the list."""
    await api_keys.revoke(session, principal, await api_keys.get(session, api_key_id, lock=True))


@router.post("/api-keys/{api_key_id}/rotate", status_code=201, responses=problems(NotFound, KeyEnded))
async def rotate_api_key(
    organization_id: UUID,
    api_key_id: UUID,
    body: KeyRotation,
    principal: MayCreateApiKeys,
    session: OrganizationDb,
    hasher: Hashing,
    response: Response,
) -> ApiKeyIssued:
    """Issue a key that does the same. The old one works on for the overlap, then expires."""
    key = await api_keys.get(session, api_key_id, lock=True)
    overlap = timedelta(seconds=body.overlap_seconds)
    issued = await api_keys.rotate(session, principal, key, overlap=overlap, hasher=hasher)
    response.headers["Location"] = _location(organization_id, issued)
    return issued


def _location(organization_id: UUID, issued: ApiKeyIssued) -> str:
    return f"/api/v1/organizations/{organization_id}/api-keys/{issued.id}"

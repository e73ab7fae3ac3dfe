"""`/organizations`."""

from fastapi import APIRouter, Response

from control_plane.auth.credentials import Issued
from control_plane.auth.dependencies import (
    Db,
    Hashing,
    MayCreateApiKeys,
    MayCreateOrganizations,
    MayReadOrganizations,
    OrganizationDb,
)
from control_plane.organizations import service as organizations
from control_plane.organizations.schemas import KeyCreate, KeyIssued, OrganizationCreate, OrganizationRead
from control_plane.problems import AlreadyExists, NotFound, problems

router = APIRouter(prefix="/organizations", tags=["organizations"])


@router.post("", status_code=201, responses=problems(AlreadyExists))
async def create_organization(
    body: OrganizationCreate, _: MayCreateOrganizations, session: Db, response: Response
) -> OrganizationRead:
    """Create a tenant. For the operator of the installation."""
    organization = await organizations.create(session, body)
    response.headers["Location"] = f"/api/v1/organizations/{organization.id}"
    return OrganizationRead.of(organization)


@router.get("")
async def list_organizations(principal: MayReadOrganizations, session: Db) -> list[OrganizationRead]:
    """The organization of your credential."""
    return [OrganizationRead.of(found) for found in await organizations.visible(session, principal)]


@router.post("/{organization_id}/api-keys", status_code=201, responses=problems(NotFound))
async def create_api_key(body: KeyCreate, _: MayCreateApiKeys, session: OrganizationDb, hasher: Hashing) -> KeyIssued:
    """Issue an API key. The key itself is in this answer and nowhere else."""
    return key_issued(await organizations.issue_api_key(session, body, hasher=hasher))


def key_issued(issued: Issued) -> KeyIssued:
    """A new credential as its receiver reads it."""
    return KeyIssued.of(issued.credential, key=issued.secret)

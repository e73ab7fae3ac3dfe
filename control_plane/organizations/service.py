"""Organizations and their API keys."""

from collections.abc import Sequence
from uuid import uuid4

from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.auth.credentials import Hasher, Issued, issue
from control_plane.auth.principals import Kind, Principal
from control_plane.db import ORGANIZATION_SETTING
from control_plane.organizations.models import Organization
from control_plane.organizations.schemas import KeyCreate, OrganizationCreate
from control_plane.problems import AlreadyExists, NotFound


async def create(session: AsyncSession, body: OrganizationCreate) -> Organization:
    """A new organization. The session enters it, since nobody outside an organization may write its row."""
    organization = Organization(id=uuid4(), name=body.name, slug=body.slug)
    await session.execute(
        text("SELECT set_config(:setting, :id, true)"), {"setting": ORGANIZATION_SETTING, "id": str(organization.id)}
    )
    session.add(organization)
    try:
        await session.flush()
    except IntegrityError as error:
        raise AlreadyExists(f"There is an organization with the slug {body.slug}. Choose another.") from error
    return organization


async def visible(session: AsyncSession, principal: Principal) -> Sequence[Organization]:
    """The organization of the principal, or all of them for the operator, newest first."""
    if principal.kind is Kind.OPERATOR:
        everything = select(Organization).from_statement(
            text("SELECT * FROM all_organizations() ORDER BY created_at DESC, id DESC")
        )
        return (await session.scalars(everything)).all()
    return (await session.scalars(select(Organization))).all()


async def issue_api_key(session: AsyncSession, body: KeyCreate, *, hasher: Hasher) -> Issued:
    """A new API key of the organization that the session is in. Raises `NotFound` if there is none."""
    organization = await session.scalar(select(Organization))
    if organization is None:
        raise NotFound("There is no such organization.")
    issued = issue(
        session,
        hasher,
        kind=Kind.API_KEY,
        organization_id=organization.id,
        name=body.name,
        expires_at=body.expires_at,
    )
    await session.flush()
    return issued

"""Organizations."""

from collections.abc import Iterable, Sequence
from uuid import UUID, uuid4

from sqlalchemy import column, select, table, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.auth.principals import Kind, Principal
from control_plane.db import enter, outside
from control_plane.organizations.models import AbandonedWorkPool, Organization
from control_plane.organizations.schemas import OrganizationCreate, OrganizationPatch
from control_plane.problems import AlreadyExists, Invalid, NotFound

# By name: environments, a subject above this one, can't be imported here.
_ENVIRONMENTS = table("environments", column("work_pool"))


async def create(session: AsyncSession, body: OrganizationCreate) -> Organization:
    """A new organization. The session enters it, since nobody outside an organization may write its row."""
    organization = Organization(id=session.info.get("organization_id") or uuid4(), name=body.name, slug=body.slug)
    await enter(session, organization.id)
    session.add(organization)
    try:
        await session.flush()
    except IntegrityError as error:
        raise AlreadyExists(f"There is an organization with the slug {body.slug}. Choose another.") from error
    return organization


async def visible(session: AsyncSession, principal: Principal, *, slug: str | None = None) -> Sequence[Organization]:
    """The organization of the principal, or all of them for the operator, newest first; with a `slug` that one."""
    if principal.kind is Kind.OPERATOR:
        wanted = text(
            "SELECT * FROM all_organizations() WHERE CAST(:slug AS text) IS NULL OR slug = :slug"
            " ORDER BY created_at DESC, id DESC"
        )
        return (await session.scalars(select(Organization).from_statement(wanted.bindparams(slug=slug)))).all()
    own = select(Organization)
    return (await session.scalars(own if slug is None else own.where(Organization.slug == slug))).all()


async def get(session: AsyncSession, organization_id: UUID, *, lock: bool = False) -> Organization:
    """One organization, locked until the transaction ends if asked. Raises `NotFound`."""
    statement = select(Organization).where(Organization.id == organization_id)
    organization = await session.scalar(statement.with_for_update(key_share=True) if lock else statement)
    if organization is None:
        raise NotFound.of("organization", organization_id)
    return organization


async def change(session: AsyncSession, organization: Organization, body: OrganizationPatch) -> Organization:
    """Merge changes into a locked organization."""
    for name, value in body.changes().items():
        setattr(organization, name, value)
    await session.flush()
    return organization


async def remove(session: AsyncSession, organization: Organization, *, confirmed: str) -> None:
    """Delete an organization and everything that belongs to it, at once. Raises `Invalid` unless its slug confirms it.

    Its work pools are removed by the reconciler.
    """
    if confirmed != organization.slug:
        raise Invalid(
            f"To delete this organization and all of its data for good, send confirm={organization.slug}.",
            location="query.confirm",
        )
    await abandon(session, (await session.scalars(select(_ENVIRONMENTS.c.work_pool))).all())
    # Every table of tenants refers to the organization and is emptied with it, by the owner of the tables: the
    # application itself may not delete from all of them.
    await session.delete(organization)
    await session.flush()
    await enter(session, None)


async def abandon(session: AsyncSession, work_pools: Iterable[str]) -> None:
    """Leave work pools to the reconciler to remove."""
    async with outside(session):
        session.add_all(AbandonedWorkPool(work_pool=work_pool) for work_pool in work_pools)
        await session.flush()

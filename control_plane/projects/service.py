"""Projects."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.pagination import Page
from control_plane.problems import AlreadyExists, NotFound
from control_plane.projects.models import Project
from control_plane.projects.schemas import ProjectCreate


async def create(session: AsyncSession, organization_id: UUID, body: ProjectCreate) -> Project:
    """A new project. Raises `AlreadyExists` if its slug is taken."""
    project = Project(organization_id=organization_id, name=body.name, slug=body.slug)
    session.add(project)
    try:
        await session.flush()
    except IntegrityError as error:
        raise AlreadyExists(f"There is a project with the slug {body.slug}. Choose another.") from error
    return project


async def get(session: AsyncSession, project_id: UUID) -> Project:
    """One project. Raises `NotFound`."""
    project = await session.scalar(select(Project).where(Project.id == project_id))
    if project is None:
        raise NotFound.of("project", project_id)
    return project


async def listed(session: AsyncSession, page: Page, *, slug: str | None) -> list[Project]:
    """A page of projects."""
    statement = select(Project)
    if slug is not None:
        statement = statement.where(Project.slug == slug)
    return await page.fetch(session, statement, Project)

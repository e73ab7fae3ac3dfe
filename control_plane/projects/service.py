"""Projects."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.pagination import Page
from control_plane.problems import AlreadyExists, Conflict, NotFound
from control_plane.projects.models import Project
from control_plane.projects.schemas import ProjectCreate, ProjectPatch


async def create(session: AsyncSession, organization_id: UUID, body: ProjectCreate) -> Project:
    """A new project. Raises `AlreadyExists` if its slug is taken."""
    project = Project(organization_id=organization_id, name=body.name, slug=body.slug)
    session.add(project)
    try:
        await session.flush()
    except IntegrityError as error:
        raise AlreadyExists(f"There is a project with the slug {body.slug}. Choose another.") from error
    return project


async def get(session: AsyncSession, project_id: UUID, *, lock: bool = False) -> Project:
    """One project, locked until the transaction ends if asked. Raises `NotFound`."""
    statement = select(Project).where(Project.id == project_id)
    project = await session.scalar(statement.with_for_update(key_share=True) if lock else statement)
    if project is None:
        raise NotFound.of("project", project_id)
    return project


async def change(session: AsyncSession, project: Project, body: ProjectPatch) -> Project:
    """Merge changes into a locked project."""
    for name, value in body.changes().items():
        setattr(project, name, value)
    await session.flush()
    return project


async def remove(session: AsyncSession, project: Project) -> None:
    """Delete a locked project. Raises `Conflict` while something belongs to it."""
    slug = project.slug  # after a refusal the row can't be read any more
    await session.delete(project)
    try:
        await session.flush()
    except IntegrityError as error:
        raise Conflict(
            f"The project {slug} still has {belonging(error)}. Delete them first: nothing is deleted with it."
        ) from error


def belonging(error: IntegrityError) -> str:
    """What a row still has, of which the database refused the deletion: `environments`."""
    diagnosis = getattr(error.orig, "diag", None)
    return str(getattr(diagnosis, "table_name", None) or "something that belongs to it").replace("_", " ")


async def listed(session: AsyncSession, page: Page, *, slug: str | None) -> list[Project]:
    """A page of projects."""
    statement = select(Project)
    if slug is not None:
        statement = statement.where(Project.slug == slug)
    return await page.fetch(session, statement, Project)

"""`/projects`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from control_plane.auth.dependencies import Db, MayReadProjects, MayWriteProjects
from control_plane.contract import Text
from control_plane.etags import CONDITIONAL, CREATED, TAGGED, Conditional, IfMatch, PreconditionFailed, tagged
from control_plane.pagination import Paged
from control_plane.problems import AlreadyExists, Conflict, NotFound, problems
from control_plane.projects import service as projects
from control_plane.projects.schemas import ProjectCreate, ProjectPatch, ProjectRead
from control_plane.transactions import TenantRoute

router = APIRouter(prefix="/projects", tags=["projects"], route_class=TenantRoute)


@router.post("", status_code=201, responses=problems(AlreadyExists) | CREATED)
async def create_project(
    body: ProjectCreate, principal: MayWriteProjects, session: Db, response: Response
) -> ProjectRead:
    """Create a project."""
    project = await projects.create(session, principal.tenant, body)
    response.headers["Location"] = f"/api/v1/projects/{project.id}"
    return tagged(response, ProjectRead.of(project))


@router.get("")
async def list_projects(
    _: MayReadProjects,
    session: Db,
    page: Paged,
    slug: Annotated[Text | None, Query(description="Only the one with this slug.")] = None,
) -> list[ProjectRead]:
    """Projects, newest first."""
    return [ProjectRead.of(found) for found in await projects.listed(session, page, slug=slug)]


@router.get("/{project_id}", responses=problems(NotFound) | CONDITIONAL)
async def get_project(project_id: UUID, _: MayReadProjects, session: Db, conditional: Conditional) -> ProjectRead:
    """One project."""
    return conditional.answer(ProjectRead.of(await projects.get(session, project_id)))


@router.patch("/{project_id}", responses=problems(NotFound, PreconditionFailed) | TAGGED)
async def change_project(
    project_id: UUID, body: ProjectPatch, _: MayWriteProjects, session: Db, if_match: IfMatch, response: Response
) -> ProjectRead:
    """Change a project's name. Its slug never changes."""
    project = await projects.get(session, project_id, lock=True)
    if_match.check(project)
    return tagged(response, ProjectRead.of(await projects.change(session, project, body)))


@router.delete("/{project_id}", status_code=204, responses=problems(NotFound, Conflict, PreconditionFailed))
async def delete_project(project_id: UUID, _: MayWriteProjects, session: Db, if_match: IfMatch) -> None:
    """Delete a project that has no environments any more."""
    project = await projects.get(session, project_id, lock=True)
    if_match.check(project)
    await projects.remove(session, project)

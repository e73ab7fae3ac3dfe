"""`/projects`."""

from uuid import UUID

from fastapi import APIRouter, Response

from control_plane.auth.dependencies import Db, MayReadProjects, MayWriteProjects
from control_plane.contract import Text
from control_plane.pagination import Paged
from control_plane.problems import AlreadyExists, NotFound, problems
from control_plane.projects import service as projects
from control_plane.projects.schemas import ProjectCreate, ProjectRead

router = APIRouter(prefix="/projects", tags=["projects"])


@router.post("", status_code=201, responses=problems(AlreadyExists))
async def create_project(
    body: ProjectCreate, principal: MayWriteProjects, session: Db, response: Response
) -> ProjectRead:
    """Create a project."""
    project = await projects.create(session, principal.tenant, body)
    response.headers["Location"] = f"/api/v1/projects/{project.id}"
    return ProjectRead.of(project)


@router.get("")
async def list_projects(_: MayReadProjects, session: Db, page: Paged, slug: Text | None = None) -> list[ProjectRead]:
    """Projects, newest first."""
    return [ProjectRead.of(found) for found in await projects.listed(session, page, slug=slug)]


@router.get("/{project_id}", responses=problems(NotFound))
async def get_project(project_id: UUID, _: MayReadProjects, session: Db) -> ProjectRead:
    """One project."""
    return ProjectRead.of(await projects.get(session, project_id))

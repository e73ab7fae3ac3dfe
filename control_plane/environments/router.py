"""`/environments`."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from control_plane import install_command
from control_plane.auth.dependencies import (
    Db,
    Hashing,
    MayCreateWorkerKeys,
    MayReadEnvironments,
    MayWriteEnvironments,
)
from control_plane.contract import Text
from control_plane.db import after_commit
from control_plane.environments import service as environments
from control_plane.environments.models import Environment
from control_plane.environments.schemas import EnvironmentCreate, EnvironmentRead, WorkerCommand
from control_plane.organizations.router import key_issued
from control_plane.organizations.schemas import KeyCreate, KeyIssued
from control_plane.pagination import Paged
from control_plane.problems import AlreadyExists, Invalid, NotFound, problems

router = APIRouter(prefix="/environments", tags=["environments"])


@router.post("", status_code=201, responses=problems(AlreadyExists, Invalid))
async def create_environment(
    body: EnvironmentCreate, principal: MayWriteEnvironments, session: Db, request: Request, response: Response
) -> EnvironmentRead:
    """Create an environment. Its work pool is created in the orchestrator right afterwards."""
    environment = await environments.create(session, principal.tenant, body)
    after_commit(session, request.app.state.dispatcher.reconcile_soon)
    response.headers["Location"] = f"/api/v1/environments/{environment.id}"
    return _read(environment)


@router.get("")
async def list_environments(
    _: MayReadEnvironments, session: Db, page: Paged, slug: Text | None = None, project_id: UUID | None = None
) -> list[EnvironmentRead]:
    """Environments, newest first."""
    return [_read(found) for found in await environments.listed(session, page, slug=slug, project_id=project_id)]


@router.get("/{environment_id}", responses=problems(NotFound))
async def get_environment(environment_id: UUID, _: MayReadEnvironments, session: Db) -> EnvironmentRead:
    """One environment."""
    return _read(await environments.get(session, environment_id))


@router.get("/{environment_id}/worker-command", responses=problems(NotFound))
async def get_worker_command(
    environment_id: UUID, _: MayReadEnvironments, session: Db, request: Request
) -> WorkerCommand:
    """The line that starts a worker for this environment."""
    environment = await environments.get(session, environment_id)
    settings = request.app.state.settings
    return WorkerCommand(
        install=install_command("worker"),
        environment={
            "CONTROL_PLANE_URL": str(settings.public_url).rstrip("/"),
            "CONTROL_PLANE_API_KEY": "<worker key of this environment>",
            "PREFECT_API_URL": str(settings.prefect_api_url).rstrip("/"),
            "PREFECT_API_AUTH_STRING": "<auth string of the Prefect server, if it has one>",
        },
        command=f"prefect worker start --pool {environment.work_pool}",
    )


@router.post("/{environment_id}/worker-keys", status_code=201, responses=problems(NotFound))
async def create_worker_key(
    environment_id: UUID, body: KeyCreate, _: MayCreateWorkerKeys, session: Db, hasher: Hashing
) -> KeyIssued:
    """Issue a key for workers of this environment. The key itself is in this answer and nowhere else."""
    return key_issued(await environments.issue_worker_key(session, environment_id, body, hasher=hasher))


def _read(environment: Environment) -> EnvironmentRead:
    return EnvironmentRead.of(environment, status="ready" if environment.provisioned_at else "provisioning")

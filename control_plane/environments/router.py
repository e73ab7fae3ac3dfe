"""`/environments`."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from control_plane.auth.credentials import KeyEnded, revoke, rotate
from control_plane.auth.dependencies import (
    Db,
    Hashing,
    MayCreateWorkerKeys,
    MayReadEnvironments,
    MayReadWorkerKeys,
    MayRevokeWorkerKeys,
    MayWriteEnvironments,
)
from control_plane.auth.principals import Kind
from control_plane.contract import Text
from control_plane.db import after_commit
from control_plane.environments import credentials
from control_plane.environments import service as environments
from control_plane.environments.models import Environment
from control_plane.environments.schemas import (
    EnvironmentCreate,
    EnvironmentPatch,
    EnvironmentRead,
    WorkerCommand,
    WorkerKeyIssued,
    WorkerKeyRead,
)
from control_plane.etags import CONDITIONAL, CREATED, TAGGED, Conditional, IfMatch, PreconditionFailed, tagged
from control_plane.organizations.schemas import KeyCreate, KeyRotation
from control_plane.pagination import Paged
from control_plane.problems import AlreadyExists, Conflict, Invalid, NotFound, problems
from control_plane.transactions import TenantRoute

router = APIRouter(prefix="/environments", tags=["environments"], route_class=TenantRoute)


@router.post("", status_code=201, responses=problems(AlreadyExists, Conflict, Invalid) | CREATED)
async def create_environment(
    body: EnvironmentCreate, principal: MayWriteEnvironments, session: Db, request: Request, response: Response
) -> EnvironmentRead:
    """Create an environment. Its work pool is created in the orchestrator right afterwards."""
    environment = await environments.create(session, principal.tenant, body)
    after_commit(session, request.app.state.dispatcher.reconcile_soon)
    response.headers["Location"] = f"/api/v1/environments/{environment.id}"
    return tagged(response, _read(environment))


@router.get("")
async def list_environments(
    _: MayReadEnvironments,
    session: Db,
    page: Paged,
    slug: Annotated[Text | None, Query(description="Only the one with this slug.")] = None,
    project_id: Annotated[UUID | None, Query(description="Only those of this project.")] = None,
) -> list[EnvironmentRead]:
    """Environments, newest first."""
    return [_read(found) for found in await environments.listed(session, page, slug=slug, project_id=project_id)]


@router.get("/{environment_id}", responses=problems(NotFound) | CONDITIONAL)
async def get_environment(
    environment_id: UUID, _: MayReadEnvironments, session: Db, conditional: Conditional
) -> EnvironmentRead:
    """One environment."""
    return conditional.answer(_read(await environments.get(session, environment_id)))


@router.patch("/{environment_id}", responses=problems(NotFound, PreconditionFailed, Invalid) | TAGGED)
async def change_environment(
    environment_id: UUID,
    body: EnvironmentPatch,
    _: MayWriteEnvironments,
    session: Db,
    if_match: IfMatch,
    response: Response,
) -> EnvironmentRead:
    """Change an environment's name, `llm_override` or `max_workers`. Its slug and project never change."""
    environment = await environments.get(session, environment_id, lock=True)
    if_match.check(environment)
    return tagged(response, _read(await environments.change(session, environment, body)))


@router.delete("/{environment_id}", status_code=204, responses=problems(NotFound, Conflict, PreconditionFailed))
async def delete_environment(
    environment_id: UUID, _: MayWriteEnvironments, session: Db, if_match: IfMatch, request: Request
) -> None:
    """Delete an environment that has no agents any more and whose executions have all ended.

    Its queues, its worker keys and the history of its executions go with it, and its work pool is removed from the
    orchestrator right afterwards.
    """
    environment = await environments.get(session, environment_id, lock=True)
    if_match.check(environment)
    await environments.remove(session, environment)
    after_commit(session, request.app.state.dispatcher.reconcile_soon)


@router.get("/{environment_id}/worker-command", responses=problems(NotFound))
async def get_worker_command(
    environment_id: UUID, _: MayReadEnvironments, session: Db, request: Request
) -> WorkerCommand:
    """The line that starts a worker for this environment."""
    environment = await environments.get(session, environment_id)
    settings = request.app.state.settings
    return WorkerCommand.of(environment.work_pool, url=str(settings.public_url).rstrip("/"))


@router.post("/{environment_id}/worker-keys", status_code=201, responses=problems(NotFound))
async def create_worker_key(
    environment_id: UUID,
    body: KeyCreate,
    principal: MayCreateWorkerKeys,
    session: Db,
    hasher: Hashing,
    response: Response,
) -> WorkerKeyIssued:
    """Issue a key for workers of this environment. The key itself is in this answer and nowhere else."""
    issued = await credentials.create(
        session,
        principal,
        environment_id,
        kind=Kind.WORKER_KEY,
        name=body.name,
        expires_at=body.expires_at,
        hasher=hasher,
    )
    response.headers["Location"] = f"/api/v1/environments/{environment_id}/worker-keys/{issued.credential.id}"
    return WorkerKeyIssued.of(issued.credential, key=issued.secret)


@router.get("/{environment_id}/worker-keys", responses=problems(NotFound))
async def list_worker_keys(environment_id: UUID, _: MayReadWorkerKeys, session: Db, page: Paged) -> list[WorkerKeyRead]:
    """Worker keys of this environment, newest first, those that have expired or been revoked too."""
    found = await credentials.listed(session, page, environment_id, kind=Kind.WORKER_KEY)
    return [WorkerKeyRead.of(key) for key in found]


@router.get("/{environment_id}/worker-keys/{worker_key_id}", responses=problems(NotFound))
async def get_worker_key(environment_id: UUID, worker_key_id: UUID, _: MayReadWorkerKeys, session: Db) -> WorkerKeyRead:
    """One worker key."""
    return WorkerKeyRead.of(await credentials.get(session, environment_id, worker_key_id, kind=Kind.WORKER_KEY))


@router.delete("/{environment_id}/worker-keys/{worker_key_id}", status_code=204, responses=problems(NotFound))
async def revoke_worker_key(environment_id: UUID, worker_key_id: UUID, _: MayRevokeWorkerKeys, session: Db) -> None:
    """Revoke a worker key. It stops working within five seconds, and stays in the list."""
    await revoke(
        session, await credentials.get(session, environment_id, worker_key_id, kind=Kind.WORKER_KEY, lock=True)
    )


@router.post(
    "/{environment_id}/worker-keys/{worker_key_id}/rotate", status_code=201, responses=problems(NotFound, KeyEnded)
)
async def rotate_worker_key(
    environment_id: UUID,
    worker_key_id: UUID,
    body: KeyRotation,
    principal: MayCreateWorkerKeys,
    session: Db,
    hasher: Hashing,
    response: Response,
) -> WorkerKeyIssued:
    """Issue a worker key that does the same. The old one works on for the overlap, then expires."""
    key = await credentials.get(session, environment_id, worker_key_id, kind=Kind.WORKER_KEY, lock=True)
    overlap = timedelta(seconds=body.overlap_seconds)
    issued = await rotate(session, hasher, key, created_by=principal.label, overlap=overlap)
    response.headers["Location"] = f"/api/v1/environments/{environment_id}/worker-keys/{issued.credential.id}"
    return WorkerKeyIssued.of(issued.credential, key=issued.secret)


def _read(environment: Environment) -> EnvironmentRead:
    return EnvironmentRead.of(environment, status="ready" if environment.provisioned_at else "provisioning")

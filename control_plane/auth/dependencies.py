"""Gatekeeping as types: a signature says which permission a route needs and in whose name it uses the database."""

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.auth.credentials import Authenticator, Hasher
from control_plane.auth.permissions import Permission
from control_plane.auth.principals import ExecutionPrincipal, Kind, Principal, WorkerPrincipal
from control_plane.db import Database
from control_plane.problems import Forbidden, NotFound, Unauthenticated

_bearer = HTTPBearer(auto_error=False, description="An API key, worker key, execution token or the operator key.")


async def authenticated(
    request: Request, presented: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Principal:
    """The principal behind the request's bearer credential. Raises `Unauthenticated`."""
    if presented is None:
        raise Unauthenticated("Send a credential: `Authorization: Bearer <key>`.")
    authenticator: Authenticator = request.app.state.authenticator
    principal = await authenticator.recognise(presented.credentials)
    if principal is None:
        raise Unauthenticated("The credential is unknown, expired or revoked.")
    return principal


def _still_valid(
    request: Request, presented: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Callable[[], Coroutine[Any, Any, bool]]:
    authenticator: Authenticator = request.app.state.authenticator

    async def still_valid() -> bool:
        return presented is not None and await authenticator.recognise(presented.credentials) is not None

    return still_valid


def requires(permission: Permission) -> Callable[..., Coroutine[Any, Any, Principal]]:
    """A dependency that yields the principal if it has `permission` and raises `Forbidden` if not."""

    async def gate(principal: Annotated[Principal, Depends(authenticated)]) -> Principal:
        if permission not in principal.permissions:
            raise Forbidden(
                f"This needs the permission {permission}, which a credential of kind {principal.kind} lacks."
            )
        return principal

    gate.permission = permission  # type: ignore[attr-defined] # a test walks all routes and reads it
    return gate


async def tenant_session(
    request: Request, principal: Annotated[Principal, Depends(authenticated)]
) -> AsyncIterator[AsyncSession]:
    """The request's one transaction, inside the organization of the credential; committed before the answer is sent."""
    database: Database = request.app.state.database
    async with database.tenant(principal.organization_id) as session:
        yield session


async def named_organization_session(
    request: Request, organization_id: UUID, principal: Annotated[Principal, Depends(authenticated)]
) -> AsyncIterator[AsyncSession]:
    """As `tenant_session`, for paths below `/organizations/{organization_id}`, which the operator may enter too."""
    if principal.kind is not Kind.OPERATOR and principal.organization_id != organization_id:
        raise NotFound.of("organization", organization_id)
    database: Database = request.app.state.database
    async with database.tenant(organization_id) as session:
        yield session


async def _worker(
    principal: Annotated[Principal, Depends(requires(Permission.EXECUTIONS_CLAIM))],
) -> WorkerPrincipal:
    if principal.organization_id is None or principal.environment_id is None:
        raise Forbidden("Only a worker key opens this.")
    return WorkerPrincipal(principal.organization_id, principal.environment_id, principal.name)


def _narrow(principal: Principal) -> ExecutionPrincipal:
    if principal.organization_id is None or principal.execution_id is None or principal.fence is None:
        raise Forbidden("Only an execution token opens this.")
    return ExecutionPrincipal(
        principal.organization_id, principal.execution_id, principal.fence, model=principal.model or ""
    )


async def _reporting(
    execution_id: UUID, principal: Annotated[Principal, Depends(requires(Permission.EXECUTION_REPORT))]
) -> ExecutionPrincipal:
    narrowed = _narrow(principal)
    if narrowed.execution_id != execution_id:
        raise NotFound.of("execution", execution_id)
    return narrowed


async def _calling_models(
    principal: Annotated[Principal, Depends(requires(Permission.MODELS_CALL))],
) -> ExecutionPrincipal:
    narrowed = _narrow(principal)
    if not narrowed.model:
        raise Forbidden("The execution of this token is not running, so it may call no model.")
    return narrowed


def _hasher(request: Request) -> Hasher:
    hasher: Hasher = request.app.state.hasher
    return hasher


Db = Annotated[AsyncSession, Depends(tenant_session, scope="function")]
OrganizationDb = Annotated[AsyncSession, Depends(named_organization_session, scope="function")]
StillValid = Annotated[Callable[[], Coroutine[Any, Any, bool]], Depends(_still_valid)]
"""Asks again whether the request's credential counts, for answers that take long."""

Hashing = Annotated[Hasher, Depends(_hasher)]

MayCreateOrganizations = Annotated[Principal, Depends(requires(Permission.ORGANIZATIONS_CREATE))]
MayReadOrganizations = Annotated[Principal, Depends(requires(Permission.ORGANIZATIONS_READ))]
MayCreateApiKeys = Annotated[Principal, Depends(requires(Permission.API_KEYS_CREATE))]
MayCreateWorkerKeys = Annotated[Principal, Depends(requires(Permission.WORKER_KEYS_CREATE))]
MayReadProjects = Annotated[Principal, Depends(requires(Permission.PROJECTS_READ))]
MayWriteProjects = Annotated[Principal, Depends(requires(Permission.PROJECTS_WRITE))]
MayReadEnvironments = Annotated[Principal, Depends(requires(Permission.ENVIRONMENTS_READ))]
MayWriteEnvironments = Annotated[Principal, Depends(requires(Permission.ENVIRONMENTS_WRITE))]
MayReadAgents = Annotated[Principal, Depends(requires(Permission.AGENTS_READ))]
MayWriteAgents = Annotated[Principal, Depends(requires(Permission.AGENTS_WRITE))]
MayReadPolicies = Annotated[Principal, Depends(requires(Permission.POLICIES_READ))]
MayWritePolicies = Annotated[Principal, Depends(requires(Permission.POLICIES_WRITE))]
MayReadExecutions = Annotated[Principal, Depends(requires(Permission.EXECUTIONS_READ))]
MayStartExecutions = Annotated[Principal, Depends(requires(Permission.EXECUTIONS_START))]
MayCancelExecutions = Annotated[Principal, Depends(requires(Permission.EXECUTIONS_CANCEL))]
MayClaimExecutions = Annotated[WorkerPrincipal, Depends(_worker)]
MayReportExecution = Annotated[ExecutionPrincipal, Depends(_reporting)]
MayCallModels = Annotated[ExecutionPrincipal, Depends(_calling_models)]

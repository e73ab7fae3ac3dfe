"""Gatekeeping as types: a signature says which permission a route needs and in whose name it uses the database."""

from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.auth import browser_cookies
from control_plane.auth.credentials import Authenticator, Hasher
from control_plane.auth.permissions import EXECUTION, WORKER_KEY, WORKER_SESSION, Permission
from control_plane.auth.principals import ExecutionPrincipal, Kind, Principal, WorkerPrincipal
from control_plane.auth.same_origin import require_same_origin
from control_plane.db import Database
from control_plane.problems import Forbidden, NotFound, Problem, Unauthenticated

_OF_MACHINES = WORKER_KEY | WORKER_SESSION | EXECUTION

_bearer = HTTPBearer(
    auto_error=False,
    description="An API key, a sign-in token (JWT) of a trusted OpenID Connect provider, a worker key, a join token,"
    " a worker session, an execution token or the operator key. With a sign-in token, members of several organizations"
    " name one in the header `X-Organization`, by slug or id.",
)


async def authenticated(
    request: Request, presented: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Principal:
    """The principal behind the request's bearer credential or, without one, its browser session.

    Raises `Unauthenticated`, and `Forbidden` for a change that a page of somebody else has the browser ask for.
    """
    if _session_token(request) is not None:
        require_same_origin(request)
    principal = await _recognised(request, presented)
    request.state.principal = principal
    return principal


async def _recognised(request: Request, presented: HTTPAuthorizationCredentials | None) -> Principal:
    authenticator: Authenticator = request.app.state.authenticator
    organization = request.headers.get("x-organization")
    token = _session_token(request)
    if token is not None:
        principal = await authenticator.recognise_session(token, organization=organization)
        if principal is None:
            raise Unauthenticated("The session of this browser has ended. Sign in again at /auth/sign-in.")
        return principal
    if presented is None:
        raise Unauthenticated("Send a credential: `Authorization: Bearer <key>`.")
    principal = await authenticator.recognise(presented.credentials, organization=organization)
    if principal is None:
        raise Unauthenticated("The credential is unknown, expired or revoked.")
    return principal


def _session_token(request: Request) -> str | None:
    # Who sends a credential, even a useless one, means that and not what the browser adds by itself.
    return None if "authorization" in request.headers else browser_cookies.of(request).session


async def _still_valid(
    request: Request, presented: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Callable[[], Coroutine[Any, Any, bool]]:
    async def still_valid() -> bool:
        try:
            principal = await _recognised(request, presented)
        except Problem:  # ended, or a person who was removed
            return False
        return _reach(request).still_of(principal)

    return still_valid


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a request reaches: the permission its route names, and where its principal has it (None: everywhere)."""

    permission: Permission
    projects: frozenset[UUID] | None

    def still_of(self, principal: Principal) -> bool:
        """Whether the principal has the permission in the same places as when the request began."""
        try:
            return principal.projects_with(self.permission) == self.projects
        except Forbidden:
            return False


def _reach(request: Request) -> Reach:
    reach: Reach | None = getattr(request.state, "reach", None)
    if reach is None:
        raise RuntimeError(f"{request.url.path} opens a session before its permission: swap the two in its signature.")
    return reach


def requires(permission: Permission) -> Callable[..., Coroutine[Any, Any, Principal]]:
    """A dependency that yields the principal if it has `permission` and raises `Forbidden` if not.

    What workers do is not for browsers, even if the API key that signed one in may join: a page can't be one.
    """

    async def gate(request: Request, principal: Annotated[Principal, Depends(authenticated)]) -> Principal:
        request.state.reach = Reach(permission, principal.projects_with(permission))
        if permission in _OF_MACHINES and _session_token(request) is not None:
            raise Forbidden(
                "A signed-in browser is no worker. Send what the worker joins with: `Authorization: Bearer <key>`."
            )
        return principal

    gate.permission = permission  # type: ignore[attr-defined] # a test walks all routes and reads it
    return gate


async def audited(request: Request, response: Response, *, session: AsyncSession, principal: Principal) -> None:
    """Let the audit log take down the request. For whoever owns its transaction: after the endpoint, before the commit.

    The audit log is a subject above this one, so the application hands it in.
    """
    await request.app.state.record_request(
        request, response, session=session, principal=principal, permission=_reach(request).permission
    )


async def tenant_session(
    request: Request, principal: Annotated[Principal, Depends(authenticated)]
) -> AsyncIterator[AsyncSession]:
    """The request's one transaction, inside the organization of the credential; committed before the answer is sent.

    It holds the projects alone in which the principal has the permission that the route names.
    """
    reach = _reach(request)
    database: Database = request.app.state.database
    async with database.tenant(principal.organization_id, projects=reach.projects) as session:
        request.state.session = session
        yield session


async def named_organization_session(
    request: Request,
    organization_id: UUID,
    principal: Annotated[Principal, Depends(authenticated)],
) -> AsyncIterator[AsyncSession]:
    """As `tenant_session`, for paths below `/organizations/{organization_id}`, which the operator may enter too."""
    if principal.kind is not Kind.OPERATOR and principal.organization_id != organization_id:
        raise NotFound.of("organization", organization_id)
    reach = _reach(request)
    database: Database = request.app.state.database
    async with database.tenant(organization_id, projects=reach.projects) as session:
        request.state.session = session
        yield session


async def _worker(
    principal: Annotated[Principal, Depends(requires(Permission.EXECUTIONS_CLAIM))],
) -> WorkerPrincipal:
    return _session_of(principal)


async def _joined(principal: Annotated[Principal, Depends(requires(Permission.WORKER_REPORT))]) -> WorkerPrincipal:
    return _session_of(principal)


def _session_of(principal: Principal) -> WorkerPrincipal:
    if not (
        principal.organization_id and principal.environment_id and principal.worker_queue_id and principal.session_id
    ):
        raise Forbidden("Only the session of a worker opens this.")
    return WorkerPrincipal(
        principal.organization_id,
        principal.environment_id,
        principal.worker_queue_id,
        principal.session_id,
        principal.name,
        draining=principal.draining,
    )


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


async def _hasher(request: Request) -> Hasher:
    hasher: Hasher = request.app.state.hasher
    return hasher


Db = Annotated[AsyncSession, Depends(tenant_session, scope="function")]
OrganizationDb = Annotated[AsyncSession, Depends(named_organization_session, scope="function")]
StillValid = Annotated[Callable[[], Coroutine[Any, Any, bool]], Depends(_still_valid)]
"""Asks again whether the request's credential counts, for answers that take long."""

Hashing = Annotated[Hasher, Depends(_hasher)]

MayCreateOrganizations = Annotated[Principal, Depends(requires(Permission.ORGANIZATIONS_CREATE))]
MayReadOrganizations = Annotated[Principal, Depends(requires(Permission.ORGANIZATIONS_READ))]
MayBootstrapOrganizations = Annotated[Principal, Depends(requires(Permission.ORGANIZATIONS_BOOTSTRAP))]
MayReadApiKeys = Annotated[Principal, Depends(requires(Permission.API_KEYS_READ))]
MayWriteOrganizations = Annotated[Principal, Depends(requires(Permission.ORGANIZATIONS_WRITE))]
MayExportOrganizations = Annotated[Principal, Depends(requires(Permission.ORGANIZATIONS_EXPORT))]
MayDeleteOrganizations = Annotated[Principal, Depends(requires(Permission.ORGANIZATIONS_DELETE))]
MayCreateApiKeys = Annotated[Principal, Depends(requires(Permission.API_KEYS_CREATE))]
MayRevokeApiKeys = Annotated[Principal, Depends(requires(Permission.API_KEYS_REVOKE))]
MayReadMembers = Annotated[Principal, Depends(requires(Permission.MEMBERS_READ))]
MayWriteMembers = Annotated[Principal, Depends(requires(Permission.MEMBERS_WRITE))]
MayReadRoles = Annotated[Principal, Depends(requires(Permission.ROLES_READ))]
MayWriteRoles = Annotated[Principal, Depends(requires(Permission.ROLES_WRITE))]
MayReadServiceAccounts = Annotated[Principal, Depends(requires(Permission.SERVICE_ACCOUNTS_READ))]
MayWriteServiceAccounts = Annotated[Principal, Depends(requires(Permission.SERVICE_ACCOUNTS_WRITE))]
MayReadWorkerKeys = Annotated[Principal, Depends(requires(Permission.WORKER_KEYS_READ))]
MayCreateWorkerKeys = Annotated[Principal, Depends(requires(Permission.WORKER_KEYS_CREATE))]
MayRevokeWorkerKeys = Annotated[Principal, Depends(requires(Permission.WORKER_KEYS_REVOKE))]
MayReadAudit = Annotated[Principal, Depends(requires(Permission.AUDIT_READ))]
MayReadProjects = Annotated[Principal, Depends(requires(Permission.PROJECTS_READ))]
MayWriteProjects = Annotated[Principal, Depends(requires(Permission.PROJECTS_WRITE))]
MayReadEnvironments = Annotated[Principal, Depends(requires(Permission.ENVIRONMENTS_READ))]
MayWriteEnvironments = Annotated[Principal, Depends(requires(Permission.ENVIRONMENTS_WRITE))]
MayReadWorkerQueues = Annotated[Principal, Depends(requires(Permission.WORKER_QUEUES_READ))]
MayWriteWorkerQueues = Annotated[Principal, Depends(requires(Permission.WORKER_QUEUES_WRITE))]
MayReadWorkers = Annotated[Principal, Depends(requires(Permission.WORKERS_READ))]
MayWriteWorkers = Annotated[Principal, Depends(requires(Permission.WORKERS_WRITE))]
MayJoin = Annotated[Principal, Depends(requires(Permission.WORKERS_JOIN))]
MayReadAgents = Annotated[Principal, Depends(requires(Permission.AGENTS_READ))]
MayWriteAgents = Annotated[Principal, Depends(requires(Permission.AGENTS_WRITE))]
MayReadModelProviders = Annotated[Principal, Depends(requires(Permission.MODEL_PROVIDERS_READ))]
MayWriteModelProviders = Annotated[Principal, Depends(requires(Permission.MODEL_PROVIDERS_WRITE))]
MayReadPolicies = Annotated[Principal, Depends(requires(Permission.POLICIES_READ))]
MayWritePolicies = Annotated[Principal, Depends(requires(Permission.POLICIES_WRITE))]
MayReadPolicyBindings = Annotated[Principal, Depends(requires(Permission.POLICY_BINDINGS_READ))]
MayWritePolicyBindings = Annotated[Principal, Depends(requires(Permission.POLICY_BINDINGS_WRITE))]
MayReadBudgets = Annotated[Principal, Depends(requires(Permission.BUDGETS_READ))]
MayWriteBudgets = Annotated[Principal, Depends(requires(Permission.BUDGETS_WRITE))]
MayImposeBudgets = Annotated[Principal, Depends(requires(Permission.BUDGETS_IMPOSE))]
MayReadUsage = Annotated[Principal, Depends(requires(Permission.USAGE_READ))]
MayReadToolsetConfigs = Annotated[Principal, Depends(requires(Permission.TOOLSET_CONFIGS_READ))]
MayWriteToolsetConfigs = Annotated[Principal, Depends(requires(Permission.TOOLSET_CONFIGS_WRITE))]
MayReadToolsets = Annotated[Principal, Depends(requires(Permission.TOOLSETS_READ))]
MayReadSecrets = Annotated[Principal, Depends(requires(Permission.SECRETS_READ))]
MayWriteSecrets = Annotated[Principal, Depends(requires(Permission.SECRETS_WRITE))]
MayReadExecutions = Annotated[Principal, Depends(requires(Permission.EXECUTIONS_READ))]
MayStartExecutions = Annotated[Principal, Depends(requires(Permission.EXECUTIONS_START))]
MayCancelExecutions = Annotated[Principal, Depends(requires(Permission.EXECUTIONS_CANCEL))]
MayReadRuns = Annotated[Principal, Depends(requires(Permission.RUNS_READ))]
MayClaimExecutions = Annotated[WorkerPrincipal, Depends(_worker)]
MayReportWorker = Annotated[WorkerPrincipal, Depends(_joined)]
MayUsePrefect = Annotated[Principal, Depends(requires(Permission.PREFECT_USE))]
MayReportExecution = Annotated[ExecutionPrincipal, Depends(_reporting)]
MayCallModels = Annotated[ExecutionPrincipal, Depends(_calling_models)]

"""`/policies`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from control_plane.auth.dependencies import Db, MayReadPolicies, MayWritePolicies
from control_plane.contract import Text
from control_plane.etags import CONDITIONAL, CREATED, TAGGED, Conditional, IfMatch, PreconditionFailed, tagged
from control_plane.pagination import Paged
from control_plane.policies import dry_run
from control_plane.policies import service as policies
from control_plane.policies.schemas import (
    BundledPolicyRead,
    Evaluation,
    EvaluationRead,
    ModuleCheck,
    PolicyCreate,
    PolicyRead,
    PolicyUpdate,
    PolicyVersionRead,
    ValidationRead,
)
from control_plane.policies.service import CurrentPolicy, PolicyInvalid
from control_plane.problems import AlreadyExists, Invalid, NotFound, problems
from control_plane.transactions import TenantRoute
from policies.engine import PolicyEngine
from policies.library import bundled

router = APIRouter(prefix="/policies", tags=["policies"], route_class=TenantRoute)


async def _engine(request: Request) -> PolicyEngine:
    engine: PolicyEngine = request.app.state.policy_engine
    return engine


Engine = Annotated[PolicyEngine, Depends(_engine)]
VersionNumber = Annotated[int, Path(ge=1, le=2_147_483_647)]


@router.post("", status_code=201, responses=problems(AlreadyExists, PolicyInvalid) | CREATED)
async def create_policy(
    body: PolicyCreate, principal: MayWritePolicies, session: Db, engine: Engine, response: Response
) -> PolicyRead:
    """Store a Rego module. It is compiled first; errors name line and column."""
    current = await policies.create(session, principal.tenant, body, engine=engine)
    response.headers["Location"] = f"/api/v1/policies/{current.policy.id}"
    return tagged(response, _read(current))


@router.get("")
async def list_policies(
    _: MayReadPolicies,
    session: Db,
    page: Paged,
    name: Annotated[Text | None, Query(description="Only the one of exactly this name.")] = None,
) -> list[PolicyRead]:
    """The organization's own policies, newest first. Those that come with the product are at `/policies/bundled`."""
    return [_read(found) for found in await policies.listed(session, page, name=name)]


@router.get("/bundled")
async def list_bundled_policies(_: MayReadPolicies) -> list[BundledPolicyRead]:
    """The policies that come with the product, by name."""
    return [BundledPolicyRead.model_validate(found) for _, found in sorted(bundled().items())]


@router.post("/validate")
async def validate_module(body: ModuleCheck, _: MayReadPolicies, engine: Engine) -> ValidationRead:
    """Compile a module and try it on the example input, without storing it."""
    return await dry_run.validate(body.module, engine=engine)


@router.post("/evaluate", responses=problems(Invalid))
async def evaluate_policies(body: Evaluation, _: MayReadPolicies, session: Db, engine: Engine) -> EvaluationRead:
    """What would stored policies and modules sent along decide together? Nothing happens and nothing is recorded."""
    return EvaluationRead.model_validate(await dry_run.evaluate(session, body, engine=engine))


@router.get("/{policy_id}", responses=problems(NotFound) | CONDITIONAL)
async def get_policy(policy_id: UUID, _: MayReadPolicies, session: Db, conditional: Conditional) -> PolicyRead:
    """One policy in its current version."""
    return conditional.answer(_read(await policies.get(session, policy_id)))


@router.patch("/{policy_id}", responses=problems(NotFound, PreconditionFailed, PolicyInvalid) | TAGGED)
async def change_policy(
    policy_id: UUID,
    body: PolicyUpdate,
    _: MayWritePolicies,
    session: Db,
    engine: Engine,
    if_match: IfMatch,
    response: Response,
) -> PolicyRead:
    """Change the description or the module. Another module is a new version; executions keep the one they have."""
    current = await policies.get(session, policy_id, lock=True)
    if_match.check(current.policy)
    return tagged(response, _read(await policies.change(session, current, **body.changes(), engine=engine)))


@router.put("/{policy_id}", responses=problems(NotFound, PreconditionFailed, Invalid, PolicyInvalid) | TAGGED)
async def replace_policy(
    policy_id: UUID,
    body: PolicyCreate,
    _: MayWritePolicies,
    session: Db,
    engine: Engine,
    if_match: IfMatch,
    response: Response,
) -> PolicyRead:
    """Replace description and module; what is left out gets its default. The name must be the policy's own."""
    current = await policies.get(session, policy_id, lock=True)
    if_match.check(current.policy)
    return tagged(response, _read(await policies.replace(session, current, body, engine=engine)))


@router.get("/{policy_id}/versions", responses=problems(NotFound))
async def list_policy_versions(
    policy_id: UUID, _: MayReadPolicies, session: Db, page: Paged
) -> list[PolicyVersionRead]:
    """Every version of a policy, newest first."""
    return [PolicyVersionRead.model_validate(found) for found in await policies.versions(session, page, policy_id)]


@router.get("/{policy_id}/versions/{version}", responses=problems(NotFound))
async def get_policy_version(
    policy_id: UUID, version: VersionNumber, _: MayReadPolicies, session: Db
) -> PolicyVersionRead:
    """One version of a policy."""
    return PolicyVersionRead.model_validate(await policies.version(session, policy_id, version))


@router.post("/{policy_id}/validate", responses=problems(NotFound))
async def validate_policy(policy_id: UUID, _: MayReadPolicies, session: Db, engine: Engine) -> ValidationRead:
    """Whether the engine of this server can use the current version of a stored policy."""
    current = await policies.get(session, policy_id)
    return await dry_run.validate(current.version.module, engine=engine)


def _read(current: CurrentPolicy) -> PolicyRead:
    return PolicyRead.of(current.policy, current.version)

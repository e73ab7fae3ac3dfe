"""`/policies`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from control_plane.auth.dependencies import Db, MayReadPolicies, MayWritePolicies
from control_plane.contract import Text
from control_plane.pagination import Paged
from control_plane.policy_bindings import service as policies
from control_plane.policy_bindings.schemas import PolicyCreate, PolicyRead
from control_plane.policy_bindings.service import CurrentPolicy, PolicyInvalid
from control_plane.problems import AlreadyExists, NotFound, problems
from policies.engine import PolicyEngine

router = APIRouter(prefix="/policies", tags=["policies"])


def _engine(request: Request) -> PolicyEngine:
    engine: PolicyEngine = request.app.state.policy_engine
    return engine


Engine = Annotated[PolicyEngine, Depends(_engine)]


@router.post("", status_code=201, responses=problems(AlreadyExists, PolicyInvalid))
async def create_policy(
    body: PolicyCreate, principal: MayWritePolicies, session: Db, engine: Engine, response: Response
) -> PolicyRead:
    """Store a Rego module. It is compiled first; errors name line and column."""
    current = await policies.create(session, principal.tenant, body, engine=engine)
    response.headers["Location"] = f"/api/v1/policies/{current.policy.id}"
    return _read(current)


@router.get("")
async def list_policies(_: MayReadPolicies, session: Db, page: Paged, name: Text | None = None) -> list[PolicyRead]:
    """The organization's own policies, newest first."""
    return [_read(found) for found in await policies.listed(session, page, name=name)]


@router.get("/{policy_id}", responses=problems(NotFound))
async def get_policy(policy_id: UUID, _: MayReadPolicies, session: Db) -> PolicyRead:
    """One policy in its current version."""
    return _read(await policies.get(session, policy_id))


def _read(current: CurrentPolicy) -> PolicyRead:
    return PolicyRead.of(current.policy, current.version)

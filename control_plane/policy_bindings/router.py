"""`/policy-bindings`, and the end of a policy, which depends on them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from control_plane.auth.dependencies import Db, MayReadPolicyBindings, MayWritePolicies, MayWritePolicyBindings
from control_plane.contract import Text
from control_plane.etags import CONDITIONAL, CREATED, Conditional, IfMatch, PreconditionFailed, tagged
from control_plane.pagination import Paged
from control_plane.policies import service as policies
from control_plane.policies.models import PolicyBinding
from control_plane.policy_bindings import service as policy_bindings
from control_plane.policy_bindings.schemas import PolicyBindingCreate, PolicyBindingRead
from control_plane.policy_bindings.service import PolicyInUse
from control_plane.problems import AlreadyExists, Invalid, NotFound, problems
from control_plane.transactions import TenantRoute

router = APIRouter(prefix="/policy-bindings", tags=["policies"], route_class=TenantRoute)
policies_router = APIRouter(prefix="/policies", tags=["policies"], route_class=TenantRoute)


@router.post("", status_code=201, responses=problems(AlreadyExists, Invalid) | CREATED)
async def create_policy_binding(
    body: PolicyBindingCreate, principal: MayWritePolicyBindings, session: Db, response: Response
) -> PolicyBindingRead:
    """Bind a policy to the organization, a project, an environment or an agent.

    It decides over every execution that is created there from now on, together with the policies that agents name.
    """
    binding = await policy_bindings.create(session, principal.tenant, body)
    response.headers["Location"] = f"/api/v1/policy-bindings/{binding.id}"
    return tagged(response, _read(binding))


@router.get("")
async def list_policy_bindings(
    _: MayReadPolicyBindings,
    session: Db,
    page: Paged,
    policy: Annotated[Text | None, Query(description="Only those of the policy of this name.")] = None,
    project_id: Annotated[UUID | None, Query(description="Only those to this project, or to something in it.")] = None,
    environment_id: Annotated[UUID | None, Query(description="Only those to this environment.")] = None,
    agent_id: Annotated[UUID | None, Query(description="Only those to this agent.")] = None,
) -> list[PolicyBindingRead]:
    """Policy bindings, newest first. `project_id` also finds those of the project's environments and agents."""
    found = await policy_bindings.listed(
        session, page, policy=policy, project_id=project_id, environment_id=environment_id, agent_id=agent_id
    )
    return [_read(binding) for binding in found]


@router.get("/{binding_id}", responses=problems(NotFound) | CONDITIONAL)
async def get_policy_binding(
    binding_id: UUID, _: MayReadPolicyBindings, session: Db, conditional: Conditional
) -> PolicyBindingRead:
    """One policy binding."""
    return conditional.answer(_read(await policy_bindings.get(session, binding_id)))


@router.delete("/{binding_id}", status_code=204, responses=problems(NotFound, PreconditionFailed))
async def delete_policy_binding(binding_id: UUID, _: MayWritePolicyBindings, session: Db, if_match: IfMatch) -> None:
    """Let the policy no longer apply there. Executions that exist keep it."""
    binding = await policy_bindings.get(session, binding_id)
    if_match.check(binding)
    await policy_bindings.delete(session, binding)


@policies_router.delete("/{policy_id}", status_code=204, responses=problems(NotFound, PolicyInUse, PreconditionFailed))
async def delete_policy(policy_id: UUID, _: MayWritePolicies, session: Db, if_match: IfMatch) -> None:
    """Delete a policy and its versions. Refused while it is bound or the current version of an agent names it."""
    current = await policies.get(session, policy_id, lock=True)
    if_match.check(current.policy)
    await policy_bindings.delete_policy(session, current.policy)


def _read(binding: PolicyBinding) -> PolicyBindingRead:
    return PolicyBindingRead.of(binding, scope=policy_bindings.scope_of(binding))

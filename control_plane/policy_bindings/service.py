"""Where policies apply, and whether one is still needed somewhere."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete as sql_delete
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.agents import service as agents
from control_plane.environments import service as environments
from control_plane.pagination import Page
from control_plane.policies import service as policies
from control_plane.policies.models import Policy, PolicyBinding
from control_plane.policy_bindings.schemas import PolicyBindingCreate, Scope
from control_plane.problems import AlreadyExists, Conflict, Invalid, NotFound
from control_plane.projects import service as projects

_NAMED_AT_MOST = 5
"""How many users of a policy a refusal names; more wouldn't be read."""


class PolicyInUse(Conflict):
    """The policy is bound somewhere, or the current version of an agent names it. `detail` says where."""

    code, title = "policy_in_use", "The policy is in use"


@dataclass(frozen=True, slots=True)
class _Place:
    project_id: UUID | None = None
    environment_id: UUID | None = None
    agent_id: UUID | None = None


async def create(session: AsyncSession, organization_id: UUID, body: PolicyBindingCreate) -> PolicyBinding:
    """Bind a policy. Raises `Invalid` for a policy or place that isn't there, `AlreadyExists` if it is bound."""
    await policies.resolve(session, [body.policy], location="body.policy", keep=True)
    try:
        place = await _place(session, body)
    except NotFound as error:
        raise Invalid(error.detail, location=f"body.{body.scope}_id") from error
    binding = PolicyBinding(
        organization_id=organization_id,
        policy=body.policy,
        policy_id=await session.scalar(select(Policy.id).where(Policy.name == body.policy)),
        project_id=place.project_id,
        environment_id=place.environment_id,
        agent_id=place.agent_id,
    )
    session.add(binding)
    try:
        await session.flush()
    except IntegrityError as error:
        raise AlreadyExists(f"The policy {body.policy} is bound to this {body.scope} already.") from error
    return binding


async def get(session: AsyncSession, binding_id: UUID) -> PolicyBinding:
    """One binding. Raises `NotFound`."""
    binding = await session.scalar(select(PolicyBinding).where(PolicyBinding.id == binding_id))
    if binding is None:
        raise NotFound.of("policy binding", binding_id)
    return binding


async def listed(
    session: AsyncSession,
    page: Page,
    *,
    policy: str | None,
    project_id: UUID | None,
    environment_id: UUID | None,
    agent_id: UUID | None,
) -> list[PolicyBinding]:
    """A page of bindings."""
    statement = select(PolicyBinding)
    if policy is not None:
        statement = statement.where(PolicyBinding.policy == policy)
    if project_id is not None:
        statement = statement.where(PolicyBinding.project_id == project_id)
    if environment_id is not None:
        statement = statement.where(PolicyBinding.environment_id == environment_id)
    if agent_id is not None:
        statement = statement.where(PolicyBinding.agent_id == agent_id)
    return await page.fetch(session, statement, PolicyBinding)


async def delete(session: AsyncSession, binding: PolicyBinding) -> None:
    """Let a policy no longer apply there. Executions that have been created keep it."""
    await session.execute(sql_delete(PolicyBinding).where(PolicyBinding.id == binding.id))


async def delete_policy(session: AsyncSession, policy: Policy) -> None:
    """Delete a policy with its versions. Raises `PolicyInUse`, so that nothing loses its guard by the way."""
    # Stronger than the lock for changes: whoever is just naming or binding the policy is waited for.
    await session.execute(select(Policy.id).where(Policy.id == policy.id).with_for_update())
    bindings = list(await session.scalars(select(PolicyBinding).where(PolicyBinding.policy_id == policy.id)))
    naming = await agents.naming(session, policy.name)
    uses = [*(_told(binding) for binding in bindings), *(f"named by the agent {found.name}" for found in naming)]
    if uses:
        more = f" and {len(uses) - _NAMED_AT_MOST} more" if len(uses) > _NAMED_AT_MOST else ""
        raise PolicyInUse(
            f"The policy {policy.name} is {', '.join(uses[:_NAMED_AT_MOST])}{more}. Delete those bindings and change"
            " those agents first."
        )
    await session.execute(sql_delete(Policy).where(Policy.id == policy.id))


def scope_of(binding: PolicyBinding) -> Scope:
    """What kind of place a binding is about: the narrowest one it names."""
    if binding.agent_id is not None:
        return Scope.AGENT
    if binding.environment_id is not None:
        return Scope.ENVIRONMENT
    return Scope.PROJECT if binding.project_id is not None else Scope.ORGANIZATION


async def _place(session: AsyncSession, body: PolicyBindingCreate) -> _Place:
    match body:
        case PolicyBindingCreate(scope=Scope.PROJECT, project_id=UUID() as project_id):
            project = await projects.get(session, project_id)
            return _Place(project.id)
        case PolicyBindingCreate(scope=Scope.ENVIRONMENT, environment_id=UUID() as environment_id):
            environment = await environments.get(session, environment_id)
            return _Place(environment.project_id, environment.id)
        case PolicyBindingCreate(scope=Scope.AGENT, agent_id=UUID() as agent_id):
            agent = (await agents.get(session, agent_id, lock=True)).agent
            return _Place(agent.project_id, agent_id=agent.id)
        case _:
            return _Place()


def _told(binding: PolicyBinding) -> str:
    scope = scope_of(binding)
    place = binding.agent_id or binding.environment_id or binding.project_id
    return f"bound to the {scope} {place} by {binding.id}" if place else f"bound to the organization by {binding.id}"

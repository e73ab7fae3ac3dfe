"""The policies of an organization, beside those that come with the product."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import and_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.pagination import Page
from control_plane.policy_bindings.models import Policy, PolicyVersion
from control_plane.policy_bindings.schemas import PolicyCreate
from control_plane.problems import AlreadyExists, Invalid, NotFound, Problem
from control_plane.wire.plan import PolicyPlan
from policies.engine import InvalidPolicy, PolicyEngine
from policies.library import bundled


class PolicyInvalid(Problem):
    """The Rego module doesn't compile, or defines nothing that could decide. `errors` name line and column."""

    status, code, title = 422, "policy_invalid", "The policy can't be used"

    def __init__(self, error: InvalidPolicy) -> None:
        super().__init__(str(error))
        self.errors = [
            {"location": f"body.module:{error.line}:{error.column}", "message": str(error), "code": "rego_invalid"}
        ]


@dataclass(frozen=True, slots=True)
class CurrentPolicy:
    """A policy together with the version that counts now."""

    policy: Policy
    version: PolicyVersion


async def create(
    session: AsyncSession, organization_id: UUID, body: PolicyCreate, *, engine: PolicyEngine
) -> CurrentPolicy:
    """A new policy, version 1. Raises `PolicyInvalid`, or `AlreadyExists` if the name is taken or bundled."""
    if body.name in bundled():
        raise AlreadyExists(f"{body.name} is a policy that comes with the product. Choose another name.")
    try:
        await engine.validate(body.module)
    except InvalidPolicy as error:
        raise PolicyInvalid(error) from error
    policy = Policy(
        id=uuid4(), organization_id=organization_id, name=body.name, description=body.description, version=1
    )
    version = PolicyVersion(organization_id=organization_id, policy_id=policy.id, version=1, module=body.module)
    session.add(policy)
    try:
        await session.flush()
    except IntegrityError as error:
        raise AlreadyExists(f"There is a policy {body.name} already. Choose another name.") from error
    session.add(version)
    await session.flush()
    return CurrentPolicy(policy, version)


async def get(session: AsyncSession, policy_id: UUID) -> CurrentPolicy:
    """One policy in its current version. Raises `NotFound`."""
    found = await _current(session, list(await session.scalars(select(Policy).where(Policy.id == policy_id))))
    if not found:
        raise NotFound.of("policy", policy_id)
    return found[0]


async def listed(session: AsyncSession, page: Page, *, name: str | None) -> list[CurrentPolicy]:
    """A page of the organization's own policies."""
    statement = select(Policy)
    if name is not None:
        statement = statement.where(Policy.name == name)
    return await _current(session, await page.fetch(session, statement, Policy))


async def resolve(session: AsyncSession, names: Sequence[str]) -> list[PolicyPlan]:
    """The modules behind the names, in that order. Raises `Invalid` naming those that don't exist."""
    library = bundled()
    own = [name for name in names if name not in library]
    plans = dict(library)
    if own:
        rows = await session.execute(
            select(Policy, PolicyVersion)
            .join(PolicyVersion, and_(PolicyVersion.policy_id == Policy.id, PolicyVersion.version == Policy.version))
            .where(Policy.name.in_(own))
        )
        plans |= {
            policy.name: PolicyPlan(name=policy.name, version=version.version, module=version.module)
            for policy, version in rows.all()
        }
    missing = [name for name in names if name not in plans]
    if missing:
        raise Invalid(
            f"There is no policy {', '.join(missing)}. Create it with POST /api/v1/policies, or use one that comes with"
            f" the product: {', '.join(sorted(library))}.",
            location="body.policies",
        )
    return [plans[name] for name in names]


async def _current(session: AsyncSession, policies: list[Policy]) -> list[CurrentPolicy]:
    found = await session.scalars(
        select(PolicyVersion)
        .join(Policy, and_(PolicyVersion.policy_id == Policy.id, PolicyVersion.version == Policy.version))
        .where(Policy.id.in_([policy.id for policy in policies]))
    )
    versions = {version.policy_id: version for version in found}
    return [CurrentPolicy(policy, versions[policy.id]) for policy in policies]

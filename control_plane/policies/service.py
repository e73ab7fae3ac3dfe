"""The policies of an organization, beside those that come with the product."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    JSON,
    ColumnElement,
    and_,
    cast,
    delete,
    false,
    func,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db import Base
from control_plane.pagination import Page
from control_plane.policies.models import Policy, PolicyBinding, PolicyVersion
from control_plane.policies.schemas import PolicyCreate
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
    await _check(engine, body.module)
    policy = Policy(
        id=uuid4(), organization_id=organization_id, name=body.name, description=body.description, version=1
    )
    session.add(policy)
    try:
        await session.flush()
    except IntegrityError as error:
        raise AlreadyExists(f"There is a policy {body.name} already. Choose another name.") from error
    return CurrentPolicy(policy, await _store(session, policy, body.module))


async def get(session: AsyncSession, policy_id: UUID, *, lock: bool = False) -> CurrentPolicy:
    """One policy in its current version, locked until the transaction ends if asked. Raises `NotFound`."""
    statement = select(Policy).where(Policy.id == policy_id)
    # Not against KEY SHARE: agents that name the policy go on being stored.
    policy = await session.scalar(statement.with_for_update(key_share=True) if lock else statement)
    if policy is None:
        raise NotFound.of("policy", policy_id)
    return (await _current(session, [policy]))[0]


async def listed(session: AsyncSession, page: Page, *, name: str | None) -> list[CurrentPolicy]:
    """A page of the organization's own policies."""
    statement = select(Policy)
    if name is not None:
        statement = statement.where(Policy.name == name)
    return await _current(session, await page.fetch(session, statement, Policy))


async def change(
    session: AsyncSession,
    current: CurrentPolicy,
    *,
    description: str | None = None,
    module: str | None = None,
    engine: PolicyEngine,
) -> CurrentPolicy:
    """Give a locked policy another description or module; another module is a new version. Raises `PolicyInvalid`."""
    policy, version = current.policy, current.version
    if description is not None:
        policy.description = description
    if module is not None and module != version.module:
        await _check(engine, module)
        policy.version += 1
        version = await _store(session, policy, module)
    await session.flush()
    return CurrentPolicy(policy, version)


async def replace(
    session: AsyncSession, current: CurrentPolicy, body: PolicyCreate, *, engine: PolicyEngine
) -> CurrentPolicy:
    """Give a locked policy everything in `body`. Raises `Invalid` for another name, `PolicyInvalid`."""
    if body.name != current.policy.name:
        raise Invalid(
            f"The policy {current.policy.name} keeps its name, since agents refer to it. Create {body.name} beside it.",
            location="body.name",
        )
    return await change(session, current, description=body.description, module=body.module, engine=engine)


async def versions(session: AsyncSession, page: Page, policy_id: UUID) -> list[PolicyVersion]:
    """A page of the versions of a policy, newest first. Raises `NotFound`."""
    await get(session, policy_id)
    statement = select(PolicyVersion).where(PolicyVersion.policy_id == policy_id)
    return await page.fetch_numbered(session, statement, PolicyVersion.version)


async def version(session: AsyncSession, policy_id: UUID, number: int) -> PolicyVersion:
    """One version of a policy. Raises `NotFound`."""
    found = await session.scalar(
        select(PolicyVersion).where(PolicyVersion.policy_id == policy_id, PolicyVersion.version == number)
    )
    if found is None:
        raise NotFound.of("policy version", f"{policy_id}/{number}")
    return found


async def resolve(
    session: AsyncSession, names: Sequence[str], *, location: str | None = None, keep: bool = False
) -> list[PolicyPlan]:
    """The modules behind the names, in that order. Raises `Invalid` naming those that don't exist.

    With `keep` none of them can be deleted before the transaction ends.
    """
    library = bundled()
    own = [name for name in names if name not in library]
    plans = dict(library)
    if own and keep:
        await session.execute(select(Policy.id).where(Policy.name.in_(own)).with_for_update(read=True, key_share=True))
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
    return _all_of(names, plans, location=location)


def applying(
    named: ColumnElement[Any],
    *,
    project_id: ColumnElement[UUID],
    environment_id: ColumnElement[UUID],
    agent_id: ColumnElement[UUID],
    of: Sequence[type[Base]],
) -> ColumnElement[Any]:
    """A column for a statement about agents, read with `decided_by`: what applies to each, by name or by binding.

    `named` is the JSON array of the policies that an agent names; `of` are the tables whose columns are given.
    """
    places = {
        PolicyBinding.project_id: project_id,
        PolicyBinding.environment_id: environment_id,
        PolicyBinding.agent_id: agent_id,
    }
    bound = (or_(column == place, column.is_(None)) for column, place in places.items())
    names = union_all(
        select(func.jsonb_array_elements_text(named).label("name"), false().label("bound")).correlate(*of),
        select(PolicyBinding.policy, true()).where(*bound).correlate(*of),
    ).subquery()
    found = func.json_build_object(
        *("name", names.c.name, "bound", names.c.bound),
        *("version", PolicyVersion.version, "module", PolicyVersion.module),
    )
    return (
        select(func.coalesce(func.json_agg(found, type_=JSON), cast([], JSON)))
        .select_from(names)
        .outerjoin(Policy, Policy.name == names.c.name)
        .outerjoin(PolicyVersion, and_(PolicyVersion.policy_id == Policy.id, PolicyVersion.version == Policy.version))
        .scalar_subquery()
    )


def decided_by(named: Sequence[str], found: Sequence[Mapping[str, Any]]) -> list[PolicyPlan]:
    """What decides over an agent, from the column `applying`: those that it names, then those bound, each once."""
    own = {
        row["name"]: PolicyPlan(name=row["name"], version=row["version"], module=row["module"])
        for row in found
        if row["module"] is not None
    }
    bound = sorted(row["name"] for row in found if row["bound"])
    return _all_of(dict.fromkeys([*named, *bound]), {**bundled(), **own})


async def release(session: AsyncSession, *, agent_id: UUID) -> None:
    """Remove what is bound to an agent that is being deleted."""
    await session.execute(delete(PolicyBinding).where(PolicyBinding.agent_id == agent_id))


def _all_of(names: Iterable[str], plans: Mapping[str, PolicyPlan], *, location: str | None = None) -> list[PolicyPlan]:
    missing = [name for name in names if name not in plans]
    if missing:
        raise Invalid(
            f"There is no policy {', '.join(missing)}. Create it with POST /api/v1/policies, or use one that comes with"
            f" the product: {', '.join(sorted(bundled()))}.",
            location=location,
        )
    return [plans[name] for name in names]


async def _check(engine: PolicyEngine, module: str) -> None:
    try:
        await engine.validate(module)
    except InvalidPolicy as error:
        raise PolicyInvalid(error) from error


async def _store(session: AsyncSession, policy: Policy, module: str) -> PolicyVersion:
    version = PolicyVersion(
        organization_id=policy.organization_id, policy_id=policy.id, version=policy.version, module=module
    )
    session.add(version)
    await session.flush()
    return version


async def _current(session: AsyncSession, policies: list[Policy]) -> list[CurrentPolicy]:
    wanted = [(policy.id, policy.version) for policy in policies]
    found = await session.scalars(
        select(PolicyVersion).where(tuple_(PolicyVersion.policy_id, PolicyVersion.version).in_(wanted))
    )
    versions = {version.policy_id: version for version in found}
    return [CurrentPolicy(policy, versions[policy.id]) for policy in policies]

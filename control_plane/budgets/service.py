"""Budgets: how much may be used. What is reserved and spent is counted by metering, in `control_plane.llm`."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete as sql_delete
from sqlalchemy import func, insert, literal, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.agents import service as agents
from control_plane.budgets.models import Budget, BudgetPeriod
from control_plane.budgets.periods import Period
from control_plane.budgets.schemas import BudgetCreate, ExecutionBudget, ImposedBudget, Limits, Scope
from control_plane.db import now
from control_plane.pagination import Page
from control_plane.problems import AlreadyExists, Conflict, Invalid, NotFound
from control_plane.projects import service as projects
from control_plane.usage.models import UsageHour


class BudgetImposed(Conflict):
    """The operator of the installation has set this budget, and only the operator can change it."""

    code, title = "budget_imposed", "The budget is the operator's"


@dataclass(frozen=True, slots=True)
class Spending:
    """What is used of a budget in the period that began at `starts_at` and ends at `resets_at`, if it has such."""

    budget: Budget
    starts_at: datetime | None
    resets_at: datetime | None
    spent_tokens: int = 0
    reserved_tokens: int = 0
    spent_usd: Decimal = Decimal(0)
    reserved_usd: Decimal = Decimal(0)

    @property
    def budget_id(self) -> UUID:
        """Whose spending this is."""
        return self.budget.id

    @property
    def left_tokens(self) -> int | None:
        """What a call may still reserve."""
        limit = self.budget.tokens
        return None if limit is None else max(0, limit - self.spent_tokens - self.reserved_tokens)

    @property
    def left_usd(self) -> Decimal | None:
        """The same in USD."""
        limit = self.budget.usd
        return None if limit is None else max(Decimal(0), limit - self.spent_usd - self.reserved_usd)


async def create(session: AsyncSession, organization_id: UUID, body: BudgetCreate) -> Budget:
    """A new budget. What its place has used in the present period counts. Raises `Invalid`, `AlreadyExists`."""
    try:
        project_id = await _project(session, body)
    except NotFound as error:
        raise Invalid(error.detail, location=f"body.{body.scope}_id") from error
    budget = Budget(
        id=uuid4(),
        organization_id=organization_id,
        project_id=project_id,
        agent_id=body.agent_id,
        period=body.period,
        tokens=body.tokens,
        usd=body.usd,
        imposed=False,
    )
    session.add(budget)
    try:
        await session.flush()
    except IntegrityError as error:
        raise AlreadyExists(
            f"This {body.scope} has a budget with the period {body.period} already. Change that one."
        ) from error
    await _count_what_was_used(session, budget)
    return budget


async def store_for_execution(
    session: AsyncSession, limits: ExecutionBudget, *, organization_id: UUID, project_id: UUID, execution_id: UUID
) -> None:
    """The budget of a new execution."""
    values: dict[str, Any] = {
        "id": uuid4(),
        "organization_id": organization_id,
        "project_id": project_id,
        "execution_id": execution_id,
        "period": Period.TOTAL,
        "tokens": limits.tokens,
        "usd": limits.usd,
        "imposed": False,
    }
    await session.execute(insert(Budget.__table__), values)  # type: ignore[arg-type] # declared as FromClause


async def get(session: AsyncSession, budget_id: UUID, *, lock: bool = False) -> Budget:
    """One budget, locked until the transaction ends if asked. Raises `NotFound`."""
    statement = select(Budget).where(Budget.id == budget_id)
    # Not against KEY SHARE: calls go on making the rows of its periods.
    budget = await session.scalar(statement.with_for_update(key_share=True) if lock else statement)
    if budget is None:
        raise NotFound.of("budget", budget_id)
    return budget


async def listed(
    session: AsyncSession,
    page: Page,
    *,
    project_id: UUID | None,
    agent_id: UUID | None,
    execution_id: UUID | None,
) -> list[Budget]:
    """A page of budgets. Those of executions, of which there may be many, only if one execution is asked for."""
    statement = select(Budget).where(
        Budget.execution_id.is_(None) if execution_id is None else Budget.execution_id == execution_id
    )
    if project_id is not None:
        statement = statement.where(Budget.project_id == project_id)
    if agent_id is not None:
        statement = statement.where(Budget.agent_id == agent_id)
    return await page.fetch(session, statement, Budget)


async def change(session: AsyncSession, budget: Budget, changes: dict[str, Any]) -> Budget:
    """Other limits for a locked budget. Raises `Invalid` if none would be left, `BudgetImposed`."""
    _check_own(budget)
    for name, value in changes.items():
        setattr(budget, name, value)
    if budget.tokens is None and budget.usd is None:
        raise Invalid("A budget needs a limit: tokens, usd or both. Delete it instead.", location="body")
    await session.flush()
    return budget


async def delete(session: AsyncSession, budget: Budget) -> None:
    """Let a locked budget no longer limit anything. Raises `BudgetImposed`."""
    _check_own(budget)
    await session.delete(budget)
    await session.flush()


async def spending(session: AsyncSession, budget: Budget) -> Spending:
    """What is used of a budget at the moment."""
    moment, period = await now(session), Period(budget.period)
    found = await session.scalar(
        select(BudgetPeriod).where(BudgetPeriod.budget_id == budget.id, BudgetPeriod.starts_at == period.start(moment))
    )
    resets_at = period.end(moment)
    starts_at = period.start(moment) if resets_at else None
    if found is None:
        return Spending(budget, starts_at, resets_at)
    return Spending(
        budget,
        starts_at,
        resets_at,
        found.spent_tokens,
        found.reserved_tokens,
        found.spent_usd,
        found.reserved_usd,
    )


async def imposed(session: AsyncSession) -> list[Budget]:
    """What the operator has set this organization."""
    return list(await session.scalars(select(Budget).where(Budget.imposed).order_by(Budget.period)))


async def impose(session: AsyncSession, organization_id: UUID, wanted: Iterable[ImposedBudget]) -> list[Budget]:
    """Set this organization these limits and no others. What is used in the present periods counts."""
    by_period = {budget.period: budget for budget in wanted}
    existing = {Period(budget.period): budget for budget in await imposed(session)}
    await session.execute(
        sql_delete(Budget).where(Budget.imposed, Budget.period.not_in([period.value for period in by_period]))
    )
    for period, limits in by_period.items():
        if budget := existing.get(period):
            budget.tokens, budget.usd = limits.tokens, limits.usd
            continue
        budget = _imposed(organization_id, period, limits)
        session.add(budget)
        await session.flush()
        await _count_what_was_used(session, budget)
    await session.flush()
    return await imposed(session)


def scope_of(budget: Budget) -> Scope:
    """What kind of place a budget is of: the narrowest that it names."""
    if budget.execution_id is not None:
        return Scope.EXECUTION
    if budget.agent_id is not None:
        return Scope.AGENT
    return Scope.ORGANIZATION if budget.project_id is None else Scope.PROJECT


def _imposed(organization_id: UUID, period: Period, limits: Limits) -> Budget:
    return Budget(
        id=uuid4(),
        organization_id=organization_id,
        period=period,
        tokens=limits.tokens,
        usd=limits.usd,
        imposed=True,
    )


def _check_own(budget: Budget) -> None:
    if budget.imposed:
        raise BudgetImposed("The operator of this installation has set this budget, and only the operator changes it.")


async def _project(session: AsyncSession, body: BudgetCreate) -> UUID | None:
    if body.project_id is not None:
        return (await projects.get(session, body.project_id)).id
    if body.agent_id is not None:
        return (await agents.get(session, body.agent_id)).agent.project_id
    return None


async def _count_what_was_used(session: AsyncSession, budget: Budget) -> None:
    starts_at = Period(budget.period).start(await now(session))
    used = select(
        literal(budget.organization_id),
        literal(budget.id),
        literal(starts_at),
        func.coalesce(func.sum(UsageHour.input_tokens + UsageHour.output_tokens), 0),
        func.coalesce(func.sum(UsageHour.cost_usd), 0),
    ).where(UsageHour.hour >= starts_at)
    if budget.project_id is not None:
        used = used.where(UsageHour.project_id == budget.project_id)
    if budget.agent_id is not None:
        used = used.where(UsageHour.agent_id == budget.agent_id)
    columns = ["organization_id", "budget_id", "starts_at", "spent_tokens", "spent_usd"]
    await session.execute(insert(BudgetPeriod).from_select(columns, used))

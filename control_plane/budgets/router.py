"""`/budgets`, and what the operator sets an organization."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from control_plane.auth.dependencies import Db, MayImposeBudgets, MayReadBudgets, MayWriteBudgets, OrganizationDb
from control_plane.budgets import service as budgets
from control_plane.budgets.models import Budget
from control_plane.budgets.schemas import BudgetCreate, BudgetPatch, BudgetRead, ImposedBudgets, SpendingRead
from control_plane.budgets.service import BudgetImposed
from control_plane.etags import CONDITIONAL, CREATED, TAGGED, Conditional, IfMatch, PreconditionFailed, tagged
from control_plane.organizations import service as organizations
from control_plane.pagination import Paged
from control_plane.problems import AlreadyExists, Invalid, NotFound, problems
from control_plane.transactions import TenantRoute

router = APIRouter(prefix="/budgets", tags=["budgets"], route_class=TenantRoute)
operator_router = APIRouter(
    prefix="/organizations/{organization_id}/imposed-budgets", tags=["budgets"], route_class=TenantRoute
)


@router.post("", status_code=201, responses=problems(AlreadyExists, Invalid) | CREATED)
async def create_budget(body: BudgetCreate, principal: MayWriteBudgets, session: Db, response: Response) -> BudgetRead:
    """Limit what the organization, a project or an agent may use of models.

    It holds from the next call on, together with all others that apply, and what was used in its period counts.
    """
    budget = await budgets.create(session, principal.tenant, body)
    response.headers["Location"] = f"/api/v1/budgets/{budget.id}"
    return tagged(response, _read(budget))


@router.get("")
async def list_budgets(
    _: MayReadBudgets,
    session: Db,
    page: Paged,
    project_id: Annotated[UUID | None, Query(description="Only those of this project and its agents.")] = None,
    agent_id: Annotated[UUID | None, Query(description="Only those of this agent.")] = None,
    execution_id: Annotated[UUID | None, Query(description="That of this execution.")] = None,
) -> list[BudgetRead]:
    """Budgets, newest first. Those of executions only with `execution_id`."""
    found = await budgets.listed(session, page, project_id=project_id, agent_id=agent_id, execution_id=execution_id)
    return [_read(budget) for budget in found]


@router.get("/{budget_id}", responses=problems(NotFound) | CONDITIONAL)
async def get_budget(budget_id: UUID, _: MayReadBudgets, session: Db, conditional: Conditional) -> BudgetRead:
    """One budget."""
    return conditional.answer(_read(await budgets.get(session, budget_id)))


@router.get("/{budget_id}/spending", responses=problems(NotFound))
async def get_spending(budget_id: UUID, _: MayReadBudgets, session: Db) -> SpendingRead:
    """What is used of a budget in its present period, what calls under way have reserved, and what is left."""
    spending = await budgets.spending(session, await budgets.get(session, budget_id))
    return SpendingRead.model_validate(spending, from_attributes=True)


@router.patch("/{budget_id}", responses=problems(NotFound, PreconditionFailed, Invalid, BudgetImposed) | TAGGED)
async def change_budget(
    budget_id: UUID, body: BudgetPatch, _: MayWriteBudgets, session: Db, if_match: IfMatch, response: Response
) -> BudgetRead:
    """Raise or lower a budget. It holds from the next call on."""
    budget = await budgets.get(session, budget_id, lock=True)
    if_match.check(budget)
    return tagged(response, _read(await budgets.change(session, budget, body.changes())))


@router.delete("/{budget_id}", status_code=204, responses=problems(NotFound, PreconditionFailed, BudgetImposed))
async def delete_budget(budget_id: UUID, _: MayWriteBudgets, session: Db, if_match: IfMatch) -> None:
    """Let a budget limit nothing any more. What was used stays in `/usage`."""
    budget = await budgets.get(session, budget_id, lock=True)
    if_match.check(budget)
    await budgets.delete(session, budget)


@operator_router.get("", responses=problems(NotFound))
async def list_imposed_budgets(organization_id: UUID, _: MayImposeBudgets, session: OrganizationDb) -> list[BudgetRead]:
    """What the operator has set an organization. Its own people find it among their budgets."""
    await organizations.get(session, organization_id)
    return [_read(budget) for budget in await budgets.imposed(session)]


@operator_router.put("", responses=problems(NotFound))
async def impose_budgets(
    organization_id: UUID, body: ImposedBudgets, _: MayImposeBudgets, session: OrganizationDb
) -> list[BudgetRead]:
    """Set an organization limits that it can't change itself. For the operator of the installation."""
    await organizations.get(session, organization_id, lock=True)
    return [_read(budget) for budget in await budgets.impose(session, organization_id, body.budgets)]


def _read(budget: Budget) -> BudgetRead:
    return BudgetRead.of(budget, scope=budgets.scope_of(budget))

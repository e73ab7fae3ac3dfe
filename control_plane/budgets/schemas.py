"""REST bodies of budgets."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from control_plane.budgets.periods import Period
from control_plane.contract import ABSENT, SOME_ID, Body, Fixed, Patch, Read, example

_MOST_TOKENS = 1_000_000_000_000_000
_MOST_USD = 1_000_000_000


def _number(value: object) -> object:
    if isinstance(value, str | bool):
        raise ValueError("must be a number")  # noqa: TRY004 - pydantic tells of a ValueError
    return value


Tokens = Annotated[int, Field(strict=True, ge=0, le=_MOST_TOKENS)]
"""Tokens, read and written ones together."""

Usd = Annotated[
    Decimal,
    Field(ge=0, le=_MOST_USD, max_digits=15, decimal_places=6),
    BeforeValidator(_number),
    PlainSerializer(float, return_type=float, when_used="json"),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": _MOST_USD}),
]
"""US dollars, to a millionth."""

UsdRead = Annotated[Decimal, PlainSerializer(float, return_type=float), WithJsonSchema({"type": "number"})]


class Scope(StrEnum):
    """What a budget is of."""

    ORGANIZATION = "organization"
    PROJECT = "project"
    AGENT = "agent"
    EXECUTION = "execution"


class Limits(Body):
    """A limit in tokens, in USD, or in both."""

    tokens: Tokens | None = Field(default=None, description="Tokens that models read and write.")
    usd: Usd | None = Field(default=None, description="What that costs, in USD.")

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.tokens is None and self.usd is None:
            raise ValueError("needs a limit: tokens, usd or both")
        return self


class ExecutionBudget(Limits):
    """What one execution, with all that it starts, may use."""

    model_config = example(tokens=200_000, usd=1.5)


class LimitsRead(BaseModel):
    """Limits as they were asked for."""

    tokens: int | None = None
    usd: UsdRead | None = None


class BudgetCreate(Limits):
    """Limit what one place may use of models in a day, in a month, or in all.

    `scope` says what kind of place, and the id of that kind says which; for the organization there is none to give.
    Executions are given theirs when they are started.
    """

    model_config = example(scope="project", project_id=SOME_ID, period="month", usd=100)

    scope: Scope
    project_id: UUID | None = Field(default=None, description="With the scope `project` only.")
    agent_id: UUID | None = Field(default=None, description="With the scope `agent` only.")
    period: Period

    @model_validator(mode="after")
    def _names_one_place(self) -> Self:
        if self.scope is Scope.EXECUTION:
            raise ValueError("an execution gets its budget when it is started: `budget` in POST /executions")
        given = [name for name in ("project_id", "agent_id") if getattr(self, name) is not None]
        wanted = [] if self.scope is Scope.ORGANIZATION else [f"{self.scope}_id"]
        if given != wanted:
            raise ValueError(
                f"the scope {self.scope} goes with {' and '.join(wanted) or 'no id'}, not with"
                f" {' and '.join(given) or 'no id'}"
            )
        return self


class BudgetPatch(Patch):
    """Other limits. Null takes one away; one has to stay."""

    tokens: Tokens | None = ABSENT
    usd: Usd | None = ABSENT
    scope: Fixed = None
    project_id: Fixed = None
    agent_id: Fixed = None
    period: Fixed = None


class BudgetRead(Read):
    """A budget. `project_id` is also told for an agent and an execution, which are in one."""

    organization_id: UUID
    scope: Scope
    project_id: UUID | None
    agent_id: UUID | None
    execution_id: UUID | None
    period: Period
    tokens: int | None
    usd: UsdRead | None
    imposed: bool = Field(description="By the operator of the installation, who alone can change it.")


class SpendingRead(BaseModel):
    """What has been used of a budget in its present period. `reserved` is what calls under way may still use."""

    budget_id: UUID
    starts_at: datetime | None = Field(description="Null: counted from the beginning.")
    resets_at: datetime | None = Field(description="Null: never.")
    spent_tokens: int
    reserved_tokens: int
    left_tokens: int | None = Field(description="Null without a limit in tokens.")
    spent_usd: UsdRead
    reserved_usd: UsdRead
    left_usd: UsdRead | None = Field(description="Null without a limit in USD.")


class ImposedBudget(Limits):
    """A limit that the operator sets an organization."""

    period: Period


class ImposedBudgets(Body):
    """All limits that the operator sets an organization: what isn't among them is taken away."""

    model_config = example(budgets=[{"period": "month", "usd": 500}])

    budgets: list[ImposedBudget] = Field(max_length=len(Period))

    @model_validator(mode="after")
    def _one_a_period(self) -> Self:
        if len({budget.period for budget in self.budgets}) < len(self.budgets):
            raise ValueError("must name each period once")
        return self

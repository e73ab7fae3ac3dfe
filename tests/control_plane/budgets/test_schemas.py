from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from control_plane.budgets.schemas import BudgetCreate, ExecutionBudget

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("change", "location"),
    [
        ({"usd": None}, ()),
        ({"usd": -1}, ("usd",)),
        ({"usd": "5"}, ("usd",)),
        ({"usd": 0.0000001}, ("usd",)),
        ({"usd": float("nan")}, ("usd",)),
        ({"tokens": 1.5}, ("tokens",)),
        ({"tokens": True}, ("tokens",)),
        ({"period": "week"}, ("period",)),
        ({"scope": "project"}, ()),
        ({"scope": "execution"}, ()),
        ({"project_id": str(uuid4())}, ()),
        ({"imposed": True}, ("imposed",)),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused_with_its_place(change: dict[str, Any], location: tuple[str]) -> None:
    body = {"scope": "organization", "period": "month", "usd": 100.5} | change

    with pytest.raises(ValidationError) as refused:
        BudgetCreate.model_validate(body)

    assert [error["loc"] for error in refused.value.errors()] == [location]


@pytest.mark.parametrize("limits", [{}, {"tokens": -1}, {"usd": None}, {"eur": 1, "usd": 1}])
def test_an_execution_is_given_no_budget_that_makes_no_sense(limits: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ExecutionBudget.model_validate(limits)

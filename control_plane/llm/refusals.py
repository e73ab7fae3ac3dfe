"""What a caller is told whom a budget has no room for."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from control_plane.llm.errors import ModelError

_AGAIN_AFTER_SECONDS = "2"
"""Calls last seconds; clients repeat a few times."""


def refusal(verdict: Mapping[str, Any], *, model: str) -> ModelError:
    """Which budget it is, what is in it, and what to do. The SDKs repeat a 429 and none of the others."""
    match verdict["verdict"]:
        case "ended":
            return ModelError(
                "The execution of this token is not running, so it may call no model.",
                status=403,
                code="execution_ended",
            )
        case "unpriced":
            return ModelError(
                f"The price of {model} is not known, and {_named(verdict)} counts USD. Set a price for the model with"
                " the provider it is called through, or a budget in tokens instead.",
                status=400,
                code="price_unknown",
            )
        case "reserved":
            return ModelError(
                f"{_story(verdict)} Calls under way hold what is left; repeat this one when they have ended.",
                status=429,
                code="budget_reserved",
                headers={"Retry-After": _AGAIN_AFTER_SECONDS},
            )
        case _:
            return ModelError(
                f"{_story(verdict)} {_remedy(verdict)}",
                status=402,
                code="budget_exceeded",
            )


def _named(verdict: Mapping[str, Any]) -> str:
    period = {"day": "daily ", "month": "monthly "}.get(verdict["period"], "")
    return f"the {period}budget of the {verdict['scope']} ({verdict['budget_id']})"


def _story(verdict: Mapping[str, Any]) -> str:
    unit = verdict["unit"]
    held = f", {_amount(verdict['reserved'], unit)} reserved" if verdict["reserved"] else ""
    return (
        f"The call has no room in {_named(verdict)}: {_amount(verdict['spent'], unit)} of"
        f" {_amount(verdict['most'], unit)} used{held}, and it may need {_amount(verdict['needed'], unit)}."
    )


def _remedy(verdict: Mapping[str, Any]) -> str:
    moment: datetime | None = verdict["resets_at"]
    if moment is None:
        return "Raise the budget to go on."
    return f"It begins anew at {moment.astimezone(UTC):%Y-%m-%dT%H:%MZ}; raise it to go on before."


def _amount(value: Decimal, unit: str) -> str:
    return f"{value.quantize(Decimal('0.000001')).normalize():f} USD" if unit == "usd" else f"{value:,.0f} tokens"

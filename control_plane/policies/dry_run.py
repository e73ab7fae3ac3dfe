"""Asking policies without anything depending on the answer."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.contract import checked
from control_plane.policies import service as policies
from control_plane.policies.schemas import Evaluation, ModuleError, ValidationRead
from control_plane.wire.decisions import Decision
from control_plane.wire.plan import PolicyPlan
from policies.engine import InvalidPolicy, PolicyEngine
from policies.input import EXAMPLE, DecisionInput

NOT_STORED = 0
"""The version of a module that was sent along."""


async def validate(module: str, *, engine: PolicyEngine) -> ValidationRead:
    """Whether the engine can use a module now."""
    try:
        await engine.validate(module)
    except InvalidPolicy as error:
        found = ModuleError(line=error.line, column=error.column, message=str(error))
        return ValidationRead(valid=False, errors=[found])
    return ValidationRead(valid=True, errors=[])


async def evaluate(session: AsyncSession, body: Evaluation, *, engine: PolicyEngine) -> Decision:
    """What the policies of `body` decide together. Raises `Invalid` for an unknown name or a broken input."""
    stored = await policies.resolve(session, list(dict.fromkeys(body.policies)), location="body.policies")
    given = [PolicyPlan(name=found.name, version=NOT_STORED, module=found.module) for found in body.modules]
    # Member by member: a `context` of three keys must not get two more from the example.
    document: dict[str, Any] = EXAMPLE.model_dump(mode="json") | body.input
    return await engine.decide([*stored, *given], checked(DecisionInput, document, location="body.input"))

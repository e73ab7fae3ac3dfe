import hashlib
import json
from uuid import UUID

import pytest

from control_plane.wire.plan import AgentPlan, ExecutionInput, ModelPlan, Named, Plan
from policies.input import EXAMPLE, DecisionInput, DecisionPoint, ToolInput
from tests.policies.rego import call

pytestmark = pytest.mark.unit


def test_the_order_in_which_arguments_come_changes_nothing() -> None:
    one = call(arguments={"a": {"x": 1, "y": 2}, "b": "é"})
    other = call(arguments={"b": "é", "a": {"y": 2, "x": 1}})

    assert one.canonical() == other.canonical()
    assert one.digest() == other.digest()


def test_another_argument_gives_another_digest() -> None:
    assert call(arguments={"path": "a"}).digest() != call(arguments={"path": "b"}).digest()


def test_the_digest_is_the_hash_of_the_canonical_form() -> None:
    assert EXAMPLE.digest() == hashlib.sha256(EXAMPLE.canonical().encode()).hexdigest()


def test_the_canonical_form_reads_back_as_the_same_document() -> None:
    assert DecisionInput.model_validate(json.loads(EXAMPLE.canonical())) == EXAMPLE


def test_a_tool_call_is_described_by_the_plan_and_the_tool() -> None:
    named = Named(id=UUID(int=1), name="acme")
    plan = Plan(
        execution_id=UUID(int=2),
        organization=named,
        project=named,
        environment=Named(id=UUID(int=3), name="prod"),
        agent=AgentPlan(id=UUID(int=4), name="Helper", version=3, agent_type="agno", instructions="Help."),
        model=ModelPlan(name="scripted/default"),
        toolsets=[],
        policies=[],
        input=ExecutionInput(message="Deploy", context={"ticket": 7}),
        requested_by="user:ada",
        parent_execution_id=UUID(int=5),
        depth=1,
    )
    tool = ToolInput(name="files_read", toolset="files", effect="read", idempotent=True, arguments={"path": "a"})

    document = json.loads(DecisionInput.of_tool_call(plan, tool).canonical())

    assert document["point"] == DecisionPoint.TOOL_CALL
    assert document["environment"] == {"id": str(UUID(int=3)), "name": "prod"}
    assert document["agent"] == {"id": str(UUID(int=4)), "name": "Helper", "version": 3, "type": "agno"}
    assert document["execution"] == {
        "id": str(UUID(int=2)),
        "requested_by": "user:ada",
        "message": "Deploy",
        "context": {"ticket": 7},
        "parent_execution_id": str(UUID(int=5)),
        "depth": 1,
    }
    assert document["tool"]["arguments"] == {"path": "a"}

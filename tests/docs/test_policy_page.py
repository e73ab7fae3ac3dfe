"""docs/writing-a-policy.md is carried out by the engine, and its example is the real one."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from control_plane.policies.schemas import PolicyCreate
from control_plane.wire.decisions import Outcome
from control_plane.wire.plan import PolicyPlan
from policies import regorus_child, regorus_engine
from policies.input import EXAMPLE, DecisionInput
from policies.library import bundled
from policies.regorus_engine import RegorusEngine
from tests.docs.pages import blocks, text

pytestmark = pytest.mark.integration

PAGE = "docs/writing-a-policy.md"
WORKING_HOURS, CAREFUL = blocks(PAGE, "rego")
LONGEST = PolicyCreate.model_json_schema()["properties"]["module"]["maxLength"]
CHANGE: dict[str, object] = {"name": "files_write", "effect": "write", "arguments": {}}


@pytest.fixture
async def engine() -> AsyncIterator[RegorusEngine]:
    async with RegorusEngine(deadline=timedelta(seconds=20)) as running:
        yield running


def plan(module: str) -> PolicyPlan:
    return PolicyPlan(name="shown", version=1, module=module)


def calling(tool: dict[str, object], *, environment: str = "staging") -> DecisionInput:
    """The example with another tool call, in an environment of that name."""
    named = EXAMPLE.environment.model_copy(update={"name": environment})
    return EXAMPLE.model_copy(update={"tool": EXAMPLE.tool.model_copy(update=tool), "environment": named})


@pytest.mark.parametrize("module", [WORKING_HOURS, CAREFUL])
async def test_a_policy_of_the_page_can_be_stored(engine: RegorusEngine, module: str) -> None:
    PolicyCreate(name="shown", module=module)

    await engine.validate(module)


@pytest.mark.parametrize(("day", "outcome"), [("Monday", Outcome.ALLOW), ("Sunday", Outcome.DENY)])
async def test_the_policy_about_weekends_decides_by_the_day(engine: RegorusEngine, day: str, outcome: Outcome) -> None:
    module = WORKING_HOURS.replace("time.weekday(time.now_ns())", f'"{day}"')

    decision = await engine.decide([plan(module)], calling(CHANGE))

    assert decision.outcome is outcome


async def test_the_policy_about_weekends_lets_reading_pass_on_any_day(engine: RegorusEngine) -> None:
    decision = await engine.decide([plan(WORKING_HOURS)], EXAMPLE)

    assert decision.allowed


@pytest.mark.parametrize(
    ("tool", "environment", "outcome", "rules"),
    [
        (CHANGE, "staging", Outcome.ALLOW, set()),
        (CHANGE, "production", Outcome.REQUIRE_APPROVAL, {"changes_production"}),
        (
            CHANGE | {"arguments": {"environment": "production"}},
            "staging",
            Outcome.REQUIRE_APPROVAL,
            {"changes_production"},
        ),
        (CHANGE | {"effect": "destroy"}, "production", Outcome.DENY, {"deletes_production"}),
        (CHANGE | {"effect": "unheard_of"}, "production", Outcome.REQUIRE_APPROVAL, {"changes_production"}),
        (CHANGE | {"effect": "read"}, "production", Outcome.ALLOW, set()),
    ],
)
async def test_the_policy_about_production_decides_as_the_page_says(
    engine: RegorusEngine, tool: dict[str, object], environment: str, outcome: Outcome, rules: set[str]
) -> None:
    decision = await engine.decide([plan(CAREFUL)], calling(tool, environment=environment))

    assert decision.outcome is outcome
    assert {reason.rule for reason in decision.reasons} == rules


def test_the_input_of_the_page_is_the_example_that_policies_are_tried_on() -> None:
    [shown] = blocks(PAGE, "json")

    assert json.loads(shown) == EXAMPLE.model_dump(mode="json")


def test_every_bundled_policy_is_named() -> None:
    assert [name for name in bundled() if f"`{name}`" not in text(PAGE)] == []


@pytest.mark.parametrize(
    "limit",
    [
        f"{regorus_engine.DEADLINE // timedelta(milliseconds=1)} ms",
        f"{regorus_child.MEMORY_BYTES >> 30} GB of memory",
        f"{regorus_engine.MAX_REQUEST_BYTES >> 20} MiB for modules and input",
        f"{regorus_engine.MAX_ANSWER_BYTES >> 10} KiB for the answer",
        f"more than {regorus_engine.MAX_REASONS} reasons",
        f"{LONGEST:,} characters a module",
        f"{' and '.join(f'`{name}`' for name in regorus_child.OFF)} are off",
        f"with the rule `{regorus_engine.ENGINE_RULE}`",
    ],
)
def test_a_limit_that_the_page_tells_is_the_real_one(limit: str) -> None:
    assert limit in text(PAGE)


async def test_a_function_that_does_not_exist_denies_once_it_is_called(engine: RegorusEngine) -> None:
    module = 'package unknown\n\ndeny contains "x" if { input.tool.effect == "write"; there.is_none(1) }\n'
    await engine.validate(module)

    decision = await engine.decide([plan(module)], calling(CHANGE))

    assert decision.outcome is Outcome.DENY
    assert {reason.rule for reason in decision.reasons} == {regorus_engine.ENGINE_RULE}

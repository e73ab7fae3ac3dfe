import pytest

from control_plane.wire.decisions import Outcome, Reason
from policies.input import EXAMPLE
from policies.regorus_engine import MAX_REASONS, MAX_REQUEST_BYTES, RegorusEngine
from tests.policies.rego import ALLOWS, DENIES, WAITS, call, policy

pytestmark = pytest.mark.integration


async def test_without_policies_everything_is_allowed(engine: RegorusEngine) -> None:
    decision = await engine.decide([], EXAMPLE)

    assert decision.outcome is Outcome.ALLOW
    assert decision.reasons == ()


@pytest.mark.parametrize(
    ("modules", "outcome"),
    [
        ([ALLOWS], Outcome.ALLOW),
        ([WAITS], Outcome.REQUIRE_APPROVAL),
        ([DENIES], Outcome.DENY),
        ([ALLOWS, WAITS], Outcome.REQUIRE_APPROVAL),
        ([WAITS, ALLOWS], Outcome.REQUIRE_APPROVAL),
        ([ALLOWS, WAITS, DENIES], Outcome.DENY),
        ([DENIES, WAITS, ALLOWS], Outcome.DENY),
    ],
)
async def test_the_strongest_answer_wins_in_any_order(
    engine: RegorusEngine, modules: list[str], outcome: Outcome
) -> None:
    decision = await engine.decide([policy(module) for module in modules], EXAMPLE)

    assert decision.outcome is outcome


async def test_a_module_that_says_both_denies(engine: RegorusEngine) -> None:
    both = 'package both\ndeny contains "no"\nrequire_approval contains "ask"\n'

    decision = await engine.decide([policy(both)], EXAMPLE)

    assert decision.outcome is Outcome.DENY


async def test_a_reason_names_policy_version_and_rule(engine: RegorusEngine) -> None:
    named = 'package named\ndeny contains {"rule": "no_reading", "reason": "reading is forbidden"}\n'

    decision = await engine.decide([policy(named, name="shy", version=7)], EXAMPLE)

    assert decision.reasons == (Reason(policy="shy", version=7, rule="no_reading", reason="reading is forbidden"),)


async def test_only_those_who_decided_are_named(engine: RegorusEngine) -> None:
    policies = [policy(WAITS, name="b"), policy(DENIES, name="c"), policy(DENIES, name="a", version=2)]

    decision = await engine.decide(policies, EXAMPLE)

    assert decision.reasons == (
        Reason(policy="a", version=2, rule="deny", reason="always"),
        Reason(policy="c", version=1, rule="deny", reason="always"),
    )


async def test_each_decision_reads_its_own_input(engine: RegorusEngine) -> None:
    module = policy('package p\ndeny contains "no" if input.tool.effect == "destroy"\n')

    outcomes = [
        (await engine.decide([module], call(effect=effect))).outcome for effect in ("destroy", "read", "destroy")
    ]

    assert outcomes == [Outcome.DENY, Outcome.ALLOW, Outcome.DENY]


async def test_a_policy_reads_its_own_settings(engine: RegorusEngine) -> None:
    module = 'package p\ndeny contains "too many" if input.tool.arguments.replicas > data.config.most\n'
    document = call(arguments={"replicas": 5})

    decision = await engine.decide(
        [policy(module, name="strict", most=3), policy(module, name="generous", most=9)], document
    )

    assert [reason.policy for reason in decision.reasons] == ["strict"]


async def test_two_modules_of_one_package_stay_apart(engine: RegorusEngine) -> None:
    helper = 'package shared\nblocked if true\ndeny contains "a" if false\n'
    other = 'package shared\ndeny contains "b" if data.shared.blocked\n'

    decision = await engine.decide([policy(helper, name="first"), policy(other, name="second")], EXAMPLE)

    assert decision.outcome is Outcome.ALLOW


@pytest.mark.parametrize(
    "module",
    [
        "",
        "package p",
        "not rego at all",
        "package p\nallow := true",
        'package p["a-b"]\ndeny contains "x" if false',
        'package p\ndeny := "undefined" if input.nothing',
        "package p\ndeny := true",
        "package p\ndeny := false",
        "package p\ndeny contains 5",
        'package p\ndeny contains {"reason": "which rule?"}',
        'package p\ndeny(reason) := reason\nrequire_approval contains "x" if false',
        'package p\ndeny.why := "x"\nrequire_approval contains "x" if false',
        'package p\ndeny["why"] := "x"\nrequire_approval contains "x" if false',
        'package p\ndeny.why := "x" if false\nrequire_approval contains "x" if false',
        'package p\ndeny contains "x" if 1 / 0 == 1',
        'package p\ndeny contains "x" if to_number("ten") == 10',
        'package p\ndeny contains "x" if no_such_function(1)',
        'package p\ndeny["x"] { true }',
    ],
)
async def test_a_module_that_gives_no_proper_answer_denies(engine: RegorusEngine, module: str) -> None:
    decisions = [await engine.decide([policy(module), policy(ALLOWS)], EXAMPLE) for _ in range(2)]

    assert [decision.outcome for decision in decisions] == [Outcome.DENY, Outcome.DENY]
    assert [decision.reasons[0].rule for decision in decisions] == ["engine", "engine"]


@pytest.mark.parametrize(
    ("condition", "switched_off"),
    [
        ('http.send({"method": "GET", "url": "http://127.0.0.1:1/"}).status_code == 500', "http.send"),
        ("opa.runtime().env.HOME", "opa.runtime"),
        ("count(opa.runtime()) > 99", "opa.runtime"),
    ],
)
async def test_a_policy_can_not_reach_outside(engine: RegorusEngine, condition: str, switched_off: str) -> None:
    decision = await engine.decide([policy(f'package p\ndeny contains "x" if {condition}\n')], EXAMPLE)

    assert decision.outcome is Outcome.DENY
    assert f"{switched_off} is switched off" in decision.reasons[0].reason


async def test_an_input_that_is_too_large_denies(engine: RegorusEngine) -> None:
    decision = await engine.decide([policy(ALLOWS)], call(arguments={"content": "x" * MAX_REQUEST_BYTES}))

    assert decision.outcome is Outcome.DENY
    assert "larger than" in decision.reasons[0].reason


async def test_of_very_many_reasons_the_first_are_told(engine: RegorusEngine) -> None:
    many = 'package p\ndeny contains sprintf("reason %d", [i]) if some i in numbers.range(1, 500)\n'

    decision = await engine.decide([policy(many)], EXAMPLE)

    assert decision.outcome is Outcome.DENY
    assert len(decision.reasons) == MAX_REASONS

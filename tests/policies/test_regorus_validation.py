import pytest

from policies.engine import InvalidPolicy
from policies.regorus_engine import RegorusEngine
from tests.policies.rego import ALLOWS, DENIES, ENDLESS, VORACIOUS, WAITS

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("module", [ALLOWS, DENIES, WAITS])
async def test_a_module_that_gives_a_proper_answer_is_valid(engine: RegorusEngine, module: str) -> None:
    await engine.validate(module)


@pytest.mark.parametrize(
    ("module", "line", "column"),
    [
        ("", 1, 1),
        ('package p\n\ndeny contains "x" if {', 3, 23),
        ('package p\n\ndeny contains "x" if unknown(1)\n', 3, 29),
        ("package p\ndeny contains x", 2, 15),
        ('package p\ndeny contains "x" if 1 / 0 == 1\n', 2, 24),
    ],
)
async def test_a_mistake_is_found_at_its_line_and_column(
    engine: RegorusEngine, module: str, line: int, column: int
) -> None:
    with pytest.raises(InvalidPolicy) as caught:
        await engine.validate(module)

    assert (caught.value.line, caught.value.column) == (line, column)
    assert f"line {line}, column {column}" in str(caught.value)


@pytest.mark.parametrize("module", ["package p", "package p\nallow := true", "package p\ndenied := true"])
async def test_a_module_without_either_rule_is_refused(engine: RegorusEngine, module: str) -> None:
    with pytest.raises(InvalidPolicy, match="neither `deny` nor `require_approval`"):
        await engine.validate(module)


@pytest.mark.parametrize(
    "module",
    ["package p\ndeny := true", 'package p\ndeny.why := "x"', "package p\ndeny contains 5", "package p\ndeny(x) := x"],
)
async def test_rules_of_another_shape_are_refused_with_an_example(engine: RegorusEngine, module: str) -> None:
    with pytest.raises(InvalidPolicy, match=r"deny contains"):
        await engine.validate(module)


async def test_a_module_that_exhausts_memory_is_refused(engine: RegorusEngine) -> None:
    with pytest.raises(InvalidPolicy, match="crashed the engine"):
        await engine.validate(VORACIOUS)


async def test_an_endless_module_is_refused(hurried: RegorusEngine) -> None:
    with pytest.raises(InvalidPolicy, match="took longer than 500 ms"):
        await hurried.validate(ENDLESS)


async def test_a_refused_module_does_not_spoil_the_next(engine: RegorusEngine) -> None:
    with pytest.raises(InvalidPolicy):
        await engine.validate("nonsense")

    await engine.validate(ALLOWS)

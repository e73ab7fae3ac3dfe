import re
from pathlib import Path

import pytest
import regorus

import policies
from control_plane.wire.decisions import Outcome
from policies.input import EXAMPLE
from policies.library import VERSIONS, bundled
from policies.regorus_engine import RegorusEngine

pytestmark = pytest.mark.integration

FOLDER = Path(policies.__file__).parent / "bundled"
NAMES = sorted(VERSIONS)
TESTS = [
    (name, rule)
    for name in NAMES
    for rule in re.findall(r"^(test_\w+)", (FOLDER / f"{name}_test.rego").read_text(), re.MULTILINE)
]


def test_the_library_lists_exactly_the_files_there_are() -> None:
    files = {path.name for path in FOLDER.iterdir()}

    assert files == {f"{name}{ending}" for name in NAMES for ending in (".rego", "_test.rego")}


def test_each_bundled_policy_carries_its_name_version_and_module() -> None:
    library = bundled()

    assert {name: policy.version for name, policy in library.items()} == VERSIONS
    assert [library[name].name for name in NAMES] == NAMES
    assert [library[name].module for name in NAMES] == [(FOLDER / f"{name}.rego").read_text() for name in NAMES]


def test_every_bundled_policy_has_rego_tests() -> None:
    assert sorted({name for name, _ in TESTS}) == NAMES


@pytest.mark.parametrize(("name", "rule"), TESTS)
def test_a_rego_test_holds(name: str, rule: str) -> None:
    engine = regorus.Engine()
    engine.add_policy_from_file(str(FOLDER / f"{name}.rego"))
    engine.add_policy_from_file(str(FOLDER / f"{name}_test.rego"))

    result = engine.eval_rule(f"data.control_plane.{name}.{rule}")

    assert result is True


@pytest.mark.parametrize("name", NAMES)
async def test_a_bundled_policy_is_valid_and_lets_the_example_pass(engine: RegorusEngine, name: str) -> None:
    await engine.validate(bundled()[name].module)

    decision = await engine.decide([bundled()[name]], EXAMPLE)

    assert decision.outcome is Outcome.ALLOW


@pytest.mark.parametrize("environment", [["prod"], {"name": "prod"}, 7, None])
async def test_a_production_that_is_not_named_by_text_is_not_let_pass(
    engine: RegorusEngine, environment: object
) -> None:
    odd = EXAMPLE.model_dump(mode="json")
    odd["execution"]["context"]["environment"] = environment
    odd["tool"]["effect"] = "write"

    decision = await engine.decide([bundled()["require_approval_for_prod"]], type(EXAMPLE).model_validate(odd))

    assert decision.outcome is Outcome.DENY

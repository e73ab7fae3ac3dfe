"""docs/writing-a-toolset.md is carried out: what it shows is a plugin, and its own test passes."""

import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest

from control_plane.wire.plan import Limits
from flows.tool_runs import FIRST_PAUSE_SECONDS, MOST_ATTEMPTS
from flows.tool_services import MOST_PROGRESS, PROGRESS_EVERY_SECONDS
from tests.docs.pages import ROOT, blocks, text
from toolsets import ToolFailed
from toolsets.outputs import MAX_OUTPUT_CHARACTERS
from toolsets.registry import ENTRY_POINT_GROUP, Registry
from toolsets.testing import call

pytestmark = pytest.mark.unit

PAGE = "docs/writing-a-toolset.md"
PLUGIN, TEST = blocks(PAGE, "python")
[PROJECT] = [tomllib.loads(block) for block in blocks(PAGE, "toml")]
[(NAME, MODULE)] = PROJECT["project"]["entry-points"][ENTRY_POINT_GROUP].items()


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """The registry of a machine on which the plugin is installed."""
    [included] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["include"]
    (tmp_path / included).write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    yield Registry([EntryPoint(NAME, MODULE, ENTRY_POINT_GROUP)])
    sys.modules.pop(MODULE, None)


def test_the_page_shows_a_plugin_that_is_found(registry: Registry) -> None:
    tools = registry.get("weather").tools

    assert registry.broken == {}
    assert list(tools) == ["weather_wind_chill"]
    assert tools["weather_wind_chill"].effect == "read"


async def test_the_tests_that_the_page_shows_pass(registry: Registry) -> None:
    shown = ModuleType("test_weather")

    exec(TEST, vars(shown))

    registry.get("weather")
    shown.test_it_keeps_the_contract_of_toolsets()
    await shown.test_wind_makes_cold_air_feel_colder()
    await shown.test_the_setting_is_held_to()


async def test_the_tests_that_the_page_shows_can_fail(registry: Registry) -> None:
    shown = ModuleType("test_weather")
    exec(TEST.replace("celsius=0", "celsius=1"), vars(shown))

    with pytest.raises(AssertionError):
        await shown.test_wind_makes_cold_air_feel_colder()


async def test_the_tool_tells_the_model_what_to_do_differently(registry: Registry) -> None:
    with pytest.raises(ToolFailed, match="defined from -60 to 10 degrees"):
        await call(registry.get("weather"), "wind_chill", celsius=20)


def test_the_limits_that_the_page_tells_are_real() -> None:
    page = text(PAGE)

    assert f"{MAX_OUTPUT_CHARACTERS:,} characters" in page
    assert f"{Limits().tool_call_seconds:g} s" in page
    assert f"{MOST_PROGRESS} times" in page
    assert (MOST_ATTEMPTS, FIRST_PAUSE_SECONDS, PROGRESS_EVERY_SECONDS) == (3, 0.5, 0.5)


def test_the_package_of_the_page_is_the_one_that_the_command_makes() -> None:
    template = (ROOT / "control_plane/cli/toolset_template/pyproject.toml.template").read_text(encoding="utf-8")

    made = tomllib.loads(template.replace("$package", "toolset-weather").replace("$name", "weather"))

    assert made["project"]["entry-points"] == PROJECT["project"]["entry-points"]
    assert made["build-system"] == PROJECT["build-system"]

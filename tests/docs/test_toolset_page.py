"""docs/writing-a-toolset.md is carried out: what it shows is a plugin, and its own test passes."""

import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from uuid import UUID

import pytest

from control_plane.wire.plan import Limits
from tests.docs.pages import blocks, text
from toolsets import ToolContext, ToolFailed
from toolsets.registry import ENTRY_POINT_GROUP, Registry
from toolsets.toolset import MAX_OUTPUT_CHARACTERS

pytestmark = pytest.mark.unit

PAGE = "docs/writing-a-toolset.md"
PLUGIN, TEST = blocks(PAGE, "python")
[PROJECT] = [tomllib.loads(block) for block in blocks(PAGE, "toml")]
[(NAME, MODULE)] = PROJECT["project"]["entry-points"][ENTRY_POINT_GROUP].items()


@pytest.fixture
def context(tmp_path: Path) -> ToolContext:
    """What a tool gets."""
    return ToolContext(execution_id=UUID(int=1), tool_execution_id="1", idempotency_key="1", workspace=tmp_path)


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


async def test_the_test_that_the_page_shows_passes(registry: Registry, tmp_path: Path) -> None:
    shown = ModuleType("test_weather")

    exec(TEST, vars(shown))

    await shown.test_wind_makes_cold_air_feel_colder(tmp_path)


async def test_the_test_that_the_page_shows_can_fail(registry: Registry, tmp_path: Path) -> None:
    shown = ModuleType("test_weather")
    exec(TEST.replace('"celsius": 0', '"celsius": 1'), vars(shown))

    with pytest.raises(AssertionError):
        await shown.test_wind_makes_cold_air_feel_colder(tmp_path)


async def test_the_tool_tells_the_model_what_to_do_differently(registry: Registry, context: ToolContext) -> None:
    tool = registry.get("weather").tools["weather_wind_chill"]

    with pytest.raises(ToolFailed, match="Use the air temperature instead"):
        await tool.call(context, {"celsius": 20})


def test_the_limits_that_the_page_tells_are_real() -> None:
    page = text(PAGE)

    assert f"{MAX_OUTPUT_CHARACTERS:,} characters" in page
    assert f"{Limits().tool_call_seconds:g} s" in page

from importlib.metadata import EntryPoint

import pytest

from tests.toolsets.plugins import weather
from toolsets.registry import ENTRY_POINT_GROUP, Registry, ToolsetNotFound

pytestmark = pytest.mark.unit


def entry(name: str, target: str) -> EntryPoint:
    return EntryPoint(name, target, ENTRY_POINT_GROUP)


def plugin(name: str, target: str) -> EntryPoint:
    return entry(name, f"tests.toolsets.plugins:{target}")


GOOD = plugin("weather", "Good")


def test_a_plugin_is_found_by_its_entry_point() -> None:
    registry = Registry([GOOD])

    assert registry.get("weather") is weather
    assert registry.broken == {}


def test_the_builtin_toolsets_are_installed_as_plugins() -> None:
    registry = Registry()

    assert {"clock", "files"} <= registry.toolsets.keys()
    assert registry.broken == {}


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (plugin("storm", "Raises"), "RuntimeError: no barometer"),
        (plugin("storm", "Exits"), "SystemExit: 3"),
        (plugin("storm", "Nothing"), "TypeError: it must implement the hook register_toolset()"),
        (plugin("storm", "ReturnsNone"), "TypeError: it must implement"),
        (plugin("storm", "ReturnsText"), "TypeError: it must implement"),
        (plugin("storm", "UnknownHook"), "PluginValidationError: "),
        (plugin("storm", "Good"), "it calls itself 'weather' but its entry point is named 'storm'"),
        (plugin("storm", "missing"), "AttributeError: "),
        (entry("storm", "no_such_module"), "ModuleNotFoundError: "),
    ],
)
def test_a_broken_plugin_hides_only_itself(broken: EntryPoint, reason: str) -> None:
    registry = Registry([broken, GOOD])

    assert set(registry.toolsets) == {"weather"}
    with pytest.raises(ToolsetNotFound, match="storm is installed on this worker but broken") as caught:
        registry.get("storm")
    assert reason in str(caught.value)


def test_of_two_plugins_of_one_name_the_second_is_broken() -> None:
    registry = Registry([plugin("weather", "SameName"), GOOD])

    assert registry.get("weather") is weather
    assert "another installed package brings a toolset of the same name" in registry.broken["weather"]


def test_a_missing_toolset_is_named_together_with_those_that_are_there() -> None:
    with pytest.raises(ToolsetNotFound, match=r"kubernetes is not installed .* Installed are: weather\."):
        Registry([GOOD]).get("kubernetes")


def test_a_worker_without_toolsets_says_so() -> None:
    with pytest.raises(ToolsetNotFound, match=r"Installed are: none\."):
        Registry([]).get("kubernetes")


def test_a_plugin_is_not_loaded_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    load = EntryPoint.load

    def noted(plugin: EntryPoint) -> object:
        loaded.append(plugin.name)
        return load(plugin)

    monkeypatch.setattr(EntryPoint, "load", noted)
    registry = Registry([GOOD, plugin("storm", "Raises")])
    before = list(loaded)

    registry.get("weather")
    registry.get("weather")

    assert before == []
    assert loaded == ["weather"]
    assert set(registry.broken) == {"storm"}
    assert loaded == ["weather", "storm"]


def test_what_is_installed_is_known_without_loading_it() -> None:
    assert Registry([GOOD, plugin("storm", "Raises")]).names == ("storm", "weather")


@pytest.mark.parametrize(("target", "range_"), [("Future", ">=99"), ("Past", "<0.1")])
def test_a_toolset_for_another_version_of_the_interface_is_broken(target: str, range_: str) -> None:
    registry = Registry([plugin("weather", target)])

    assert registry.toolsets == {}
    assert f"ValueError: it works with the plugin API {range_} and not with" in registry.broken["weather"]

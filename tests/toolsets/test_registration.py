from collections.abc import Callable
from typing import Any, cast

import pytest

from toolsets import Effect, ToolContext, Toolset

pytestmark = pytest.mark.unit


def without_docstring(context: ToolContext) -> str:
    return ""


def without_context(city: str) -> str:
    """Tell."""
    return city


def without_parameters() -> str:
    """Tell."""
    return ""


def untyped(context: ToolContext, city) -> str:  # type: ignore[no-untyped-def]
    """Tell."""
    return str(city)


def variable(context: ToolContext, *cities: str) -> str:
    """Tell."""
    return "".join(cities)


def keywords(context: ToolContext, **cities: str) -> str:
    """Tell."""
    return "".join(cities)


def positional(context: ToolContext, city: str, /) -> str:
    """Tell."""
    return city


def a_function_whose_name_is_longer_than_what_models_accept_as_a_tool(context: ToolContext) -> str:
    """Tell."""
    return ""


@pytest.mark.parametrize("name", ["", "Weather", "1st", "we-ather", "we ather", "x" * 32, "wetter\n"])
def test_a_toolset_needs_a_proper_name(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        Toolset(name)


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (without_docstring, ValueError, "docstring"),
        (without_context, TypeError, "ToolContext"),
        (without_parameters, TypeError, "ToolContext"),
        (untyped, TypeError, "city needs a type"),
        (variable, TypeError, "cities"),
        (keywords, TypeError, "cities"),
        (positional, TypeError, "city"),
        (a_function_whose_name_is_longer_than_what_models_accept_as_a_tool, ValueError, "64 characters"),
    ],
)
def test_a_function_that_can_not_be_a_tool_is_refused_when_it_is_registered(
    function: Callable[..., Any], error: type[Exception], message: str
) -> None:
    toolset = Toolset("weather")

    with pytest.raises(error, match=message):
        toolset.tool(effect="read")(function)

    assert toolset.tools == {}


def test_an_effect_that_does_not_exist_is_refused() -> None:
    def look(context: ToolContext) -> str:
        """Look."""
        return ""

    with pytest.raises(ValueError, match="read, write or destroy, not 'delete'"):
        Toolset("weather").tool(effect=cast("Effect", "delete"))(look)


def test_two_tools_of_one_name_are_refused() -> None:
    toolset = Toolset("weather")

    @toolset.tool(effect="read")
    def look(context: ToolContext) -> str:
        """Look."""
        return ""

    with pytest.raises(ValueError, match="two tools called look"):
        toolset.tool(effect="read")(look)


def test_a_tool_is_described_by_its_function() -> None:
    toolset = Toolset("weather", secrets=["openweather"])

    @toolset.tool(effect="write")
    def report(context: ToolContext, city: str, degrees: float = 20.5, tags: list[str] | None = None) -> str:
        """Report what the weather is like.

        Twice a day is enough.
        """
        return city

    tool = toolset.tools["weather_report"]
    assert (tool.name, tool.toolset, tool.effect, tool.idempotent) == ("weather_report", "weather", "write", False)
    assert tool.description == "Report what the weather is like.\n\nTwice a day is enough."
    assert tool.parameters == {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "city": {"type": "string"},
            "degrees": {"type": "number", "default": 20.5},
            "tags": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}], "default": None},
        },
        "required": ["city"],
    }
    assert toolset.secrets == ("openweather",)


@pytest.mark.parametrize(
    ("effect", "declared", "idempotent"),
    [("read", False, True), ("write", False, False), ("write", True, True), ("destroy", False, False)],
)
def test_only_a_read_is_idempotent_without_saying_so(effect: Effect, declared: bool, idempotent: bool) -> None:  # noqa: FBT001
    toolset = Toolset("weather")

    @toolset.tool(effect=effect, idempotent=declared)
    def act(context: ToolContext) -> None:
        """Act."""

    assert toolset.tools["weather_act"].idempotent is idempotent

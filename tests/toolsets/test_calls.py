import threading
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from toolsets import Tool, ToolContext, ToolFailed, Toolset
from toolsets.outputs import MAX_OUTPUT_CHARACTERS

pytestmark = pytest.mark.unit

weather = Toolset("weather")


class Place(BaseModel):
    name: str
    altitude: int = 0


@weather.tool(effect="write")
def measure(
    context: ToolContext,
    place: Place,
    times: Annotated[int, Field(ge=1, le=3)] = 1,
    since: date = date(2026, 1, 1),
) -> dict[str, object]:
    """Measure."""
    return {"place": place, "times": times, "since": since, "key": context.idempotency_key}


@weather.tool(effect="read")
def thread(context: ToolContext) -> bool:
    """Tell whether this runs in the main thread."""
    return threading.current_thread() is threading.main_thread()


@weather.tool(effect="read")
async def loop(context: ToolContext) -> bool:
    """Tell whether this runs in the main thread."""
    return threading.current_thread() is threading.main_thread()


class Results:
    """What the tool `weather_give` returns or raises next."""

    value: object = None


@weather.tool(effect="read")
def give(context: ToolContext) -> object:
    """Give what the test wants."""
    if isinstance(Results.value, Exception):
        raise Results.value
    return Results.value


def tool(name: str) -> Tool:
    return weather.tools[f"weather_{name}"]


async def test_arguments_arrive_as_their_types_and_results_leave_as_json(context: ToolContext) -> None:
    result = await tool("measure").call(context, {"place": {"name": "Bern"}, "since": "2026-02-03"})

    assert result == {
        "place": {"name": "Bern", "altitude": 0},
        "times": 1,
        "since": "2026-02-03",
        "key": context.idempotency_key,
    }


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({}, "place: Field required"),
        ({"place": {"name": 5}}, "place.name: "),
        ({"place": {"name": "Bern"}, "times": 4}, "times: "),
        ({"place": {"name": "Bern"}, "speed": 1}, "speed: "),
        ({"place": None, "times": 0}, "; times: "),
    ],
)
async def test_wrong_arguments_are_named_to_the_model(
    context: ToolContext, arguments: dict[str, Any], named: str
) -> None:
    with pytest.raises(ToolFailed, match="The arguments of weather_measure are wrong") as caught:
        await tool("measure").call(context, arguments)

    assert named in str(caught.value)


def test_normalized_arguments_are_what_the_function_will_get() -> None:
    normalized = tool("measure").normalized({"place": {"name": "Bern", "altitude": "540"}, "times": "2"})

    assert normalized == {"place": {"name": "Bern", "altitude": 540}, "times": 2, "since": "2026-01-01"}


def test_normalizing_twice_changes_nothing() -> None:
    once = tool("measure").normalized({"place": {"name": "Bern"}, "times": "2"})

    assert tool("measure").normalized(once) == once


def test_half_a_surrogate_pair_is_refused_before_anyone_has_to_write_it_down() -> None:
    with pytest.raises(ToolFailed, match="half a surrogate pair"):
        tool("measure").normalized({"place": {"name": "\ud83d"}})


def test_arguments_that_are_no_object_are_refused() -> None:
    listed: Any = ["Bern"]

    with pytest.raises(ToolFailed, match="arguments: "):
        tool("measure").validate(listed)


async def test_a_sync_function_runs_in_a_thread(context: ToolContext) -> None:
    assert await tool("thread").call(context, {}) is False


async def test_an_async_function_runs_in_the_event_loop(context: ToolContext) -> None:
    assert await tool("loop").call(context, {}) is True


@pytest.mark.parametrize(
    ("value", "result"),
    [
        (None, None),
        ({1: (2, 3)}, {"1": [2, 3]}),
        (Path("a/b"), "a/b"),
        (b"bytes", "bytes"),
        ([float("nan"), float("inf")], [None, None]),
        ("half \ud83d and nul \0", "half ? and nul \ufffd"),
    ],
)
async def test_a_result_that_has_a_json_form_gets_it(context: ToolContext, value: object, result: object) -> None:
    Results.value = value

    assert await tool("give").call(context, {}) == result


CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize("value", [object(), b"\xff\xfe", CIRCLE], ids=["object", "binary", "circle"])
async def test_a_result_without_a_json_form_is_a_bug_of_the_tool(context: ToolContext, value: object) -> None:
    Results.value = value

    with pytest.raises(TypeError, match="weather_give returned"):
        await tool("give").call(context, {})


async def test_a_long_result_is_given_in_full(context: ToolContext) -> None:
    Results.value = "x" * (MAX_OUTPUT_CHARACTERS + 1)

    assert await tool("give").call(context, {}) == Results.value


@pytest.mark.parametrize("error", [ToolFailed("Try Bern."), KeyError("bug")])
async def test_what_a_tool_raises_passes(context: ToolContext, error: Exception) -> None:
    Results.value = error

    with pytest.raises(type(error)) as caught:
        await tool("give").call(context, {})

    assert caught.value is error

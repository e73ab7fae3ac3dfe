import json

import pytest

from benchmarks.figures import Figure, percentile

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1.0), (1, 1.0), (50, 50.0), (50.5, 51.0), (99, 99.0), (99.5, 100.0), (100, 100.0)]
)
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(percent: float, expected: float) -> None:
    values = [float(value) for value in range(100, 0, -1)]

    found = percentile(values, percent)

    assert found == expected


@pytest.mark.parametrize("percent", [1, 50, 99, 100])
def test_every_percentile_of_one_value_is_that_value(percent: float) -> None:
    found = percentile([7.5], percent)

    assert found == 7.5


@pytest.mark.parametrize(("value", "ok"), [(4.99, True), (5.0, True), (5.01, False)])
def test_a_figure_may_reach_its_limit_and_not_exceed_it(value: float, ok: bool) -> None:  # noqa: FBT001 - a case's value
    figure = Figure("delay.p99", value, "ms", limit=5.0)

    assert figure.ok is ok


@pytest.mark.parametrize(("value", "ok"), [(299.9, False), (300.0, True), (1000.0, True)])
def test_a_rate_must_reach_its_limit(value: float, ok: bool) -> None:  # noqa: FBT001 - a case's value
    figure = Figure("posts.rate", value, "requests/s", limit=300.0, at_least=True)

    assert figure.ok is ok


def test_a_figure_without_a_limit_is_ok() -> None:
    figure = Figure("dev.stop", 1e9, "s")

    assert figure.ok is True


def test_a_limit_of_zero_is_a_limit() -> None:
    figure = Figure("events.lost", 1, "events", limit=0)

    assert figure.ok is False


def test_what_could_not_be_measured_misses_its_limit() -> None:
    figure = Figure("delay.p99", float("nan"), "ms", limit=5.0)

    assert figure.ok is False


def test_a_figure_is_one_line_of_json() -> None:
    figure = Figure("delay.p99", 1.23456789, "ms", limit=5.0)

    line = figure.line()

    assert "\n" not in line
    assert json.loads(line) == {"name": "delay.p99", "value": 1.23457, "unit": "ms", "limit": 5.0, "ok": True}


def test_a_figure_without_a_limit_says_null() -> None:
    figure = Figure("dev.stop", 0.5, "s")

    line = figure.line()

    assert json.loads(line) == {"name": "dev.stop", "value": 0.5, "unit": "s", "limit": None, "ok": True}

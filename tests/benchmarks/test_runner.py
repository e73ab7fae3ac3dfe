import json
from collections.abc import Iterator
from importlib import import_module

import pytest

from benchmarks.__main__ import NAMES
from benchmarks.figures import Figure
from benchmarks.runner import main

pytestmark = pytest.mark.unit

QUICK = Figure("quick.p50", 1.5, "ms", limit=5.0)
SLOW = Figure("slow.p50", 7.5, "ms", limit=5.0)
FREE = Figure("free.value", 9.0, "s")


def broken() -> Iterator[Figure]:
    """Fails after its first figure."""
    yield FREE
    raise RuntimeError("the server went away")


def interrupted() -> Iterator[Figure]:
    """Is stopped by Ctrl-C after its first figure."""
    yield FREE
    raise KeyboardInterrupt


def printed_names(output: str) -> list[str]:
    return [json.loads(line)["name"] for line in output.splitlines() if line.startswith("{")]


def test_without_a_name_all_benchmarks_run_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    known = {"quick": lambda: [QUICK], "free": lambda: [FREE]}

    code = main(known, [])

    assert code == 0
    assert printed_names(capsys.readouterr().out) == ["quick.p50", "free.value"]


def test_named_benchmarks_run_alone(capsys: pytest.CaptureFixture[str]) -> None:
    known = {"quick": lambda: [QUICK], "slow": lambda: [SLOW], "free": lambda: [FREE]}

    code = main(known, ["free"])

    assert code == 0
    assert printed_names(capsys.readouterr().out) == ["free.value"]


def test_a_missed_limit_makes_the_exit_code_1_and_the_rest_still_runs(capsys: pytest.CaptureFixture[str]) -> None:
    known = {"slow": lambda: [SLOW], "quick": lambda: [QUICK]}

    code = main(known, [])

    assert code == 1
    assert printed_names(capsys.readouterr().out) == ["slow.p50", "quick.p50"]


def test_an_unknown_name_exits_with_2_names_the_known_ones_and_runs_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    known = {"quick": lambda: [QUICK], "free": lambda: [FREE]}

    with pytest.raises(SystemExit) as ended:
        main(known, ["quick", "quack"])

    printed = capsys.readouterr()
    assert ended.value.code == 2
    assert "there is no benchmark quack; there are quick, free" in printed.err
    assert printed.out == ""


def test_the_table_shows_value_unit_limit_and_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    rate = Figure("posts.rate", 250.0, "requests/s", limit=300.0, at_least=True)

    main({"all": lambda: [QUICK, FREE, rate]}, [])

    rows = [line.replace("│", " ").split() for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert rows == [
        ["quick.p50", "1.5", "ms", "≤", "5", "ok"],
        ["free.value", "9", "s"],
        ["posts.rate", "250", "requests/s", "≥", "300", "missed"],
    ]


def test_a_benchmark_that_fails_makes_the_exit_code_1_and_costs_no_other_figure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main({"broken": broken, "quick": lambda: [QUICK]}, [])

    printed = capsys.readouterr()
    assert code == 1
    assert printed_names(printed.out) == ["free.value", "quick.p50"]
    assert "RuntimeError: the server went away" in printed.err
    assert "Failed: broken" in printed.err


def test_an_interruption_exits_with_130_and_keeps_the_figures_so_far(capsys: pytest.CaptureFixture[str]) -> None:
    code = main({"interrupted": interrupted, "quick": lambda: [QUICK]}, [])

    assert code == 130
    assert printed_names(capsys.readouterr().out) == ["free.value"]


def test_progress_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    main({"quick": lambda: [QUICK]}, [])

    printed = capsys.readouterr()
    assert "quick …" in printed.err
    assert "quick …" not in printed.out


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_that_is_offered_can_be_measured(name: str) -> None:
    module = import_module(f"benchmarks.{name}")

    assert callable(module.measure)

"""Runs benchmarks one after the other and tells what they found: JSON lines and a table, progress on stderr."""

import argparse
import sys
import time
import traceback
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Benchmark, Figure


def main(known: Mapping[str, Benchmark], arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks named in `arguments`, or all that are known; the exit code.

    1 means that a figure missed its limit or a benchmark failed. An unknown name exits at once with 2.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"one of {', '.join(known)}; default: all of them")
    names: list[str] = parser.parse_args(arguments).names
    if unknown := [name for name in names if name not in known]:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    try:
        figures, failed = _run({name: known[name] for name in names or known})
    except KeyboardInterrupt:
        print("Interrupted. Everything that was started is stopped.", file=sys.stderr)
        return 130
    if figures:
        Console(highlight=False).print(_table(figures))
    if failed:
        print(f"Failed: {', '.join(failed)}", file=sys.stderr)
    return 0 if not failed and all(figure.ok for figure in figures) else 1


def _run(benchmarks: Mapping[str, Benchmark]) -> tuple[list[Figure], list[str]]:
    """Every figure, and the names of the benchmarks that failed: one that does must not cost the others' figures."""
    figures: list[Figure] = []
    failed: list[str] = []
    for name, benchmark in benchmarks.items():
        print(f"{name} …", file=sys.stderr, flush=True)
        started = time.monotonic()
        try:
            for figure in benchmark():
                # At once, so that a later interruption doesn't lose what has been measured.
                print(figure.line(), flush=True)
                figures.append(figure)
        except Exception:  # noqa: BLE001 - it is told with its traceback, and makes the exit code 1
            traceback.print_exc()
            failed.append(name)
        print(f"{name} took {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return figures, failed


def _table(figures: Sequence[Figure]) -> Table:
    table = Table("figure", title="Benchmarks", title_justify="left")
    for column in ("value", "unit", "limit", ""):
        table.add_column(column, justify="left" if column == "unit" else "right", no_wrap=True)
    for figure in figures:
        bound = "" if figure.limit is None else f"{'≥' if figure.at_least else '≤'} {figure.limit:g}"
        verdict = "" if figure.limit is None else "[green]ok[/]" if figure.ok else "[bold red]missed[/]"
        table.add_row(figure.name, f"{figure.value:.4g}", figure.unit, bound, verdict)
    return table

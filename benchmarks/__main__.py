"""`python -m benchmarks [NAME…]`."""

import os
import sys
import tempfile
from collections.abc import Iterable
from functools import partial
from importlib import import_module
from pathlib import Path

from benchmarks.figures import Benchmark, Figure
from benchmarks.runner import main
from control_plane.cli.dev import stop_on_termination

NAMES = (
    "policy_decision",
    "dev_start",
    "sse_delay",
    "post_executions",
    "reading",
    "memory",
    "gateway",
    "start_latency",
    "idle_workers",
    "fairness",
)
"""Modules of this package with a function `measure`. The short ones come first."""

_SETTINGS = ("CONTROL_PLANE_", "PREFECT_", "LITELLM_", "OPENAI_", "ANTHROPIC_", "DATABASE_URL")


def _measure(name: str) -> Iterable[Figure]:
    # Imported when it is its turn: one benchmark's imports are no business of another's.
    measure: Benchmark = import_module(f"benchmarks.{name}").measure
    return measure()


def _forget_settings(prefect_home: Path) -> None:
    """Measure the product as it comes, and never against a database or a Prefect that somebody works with."""
    for name in list(os.environ):
        if name.startswith(_SETTINGS):
            del os.environ[name]
    os.environ["PREFECT_HOME"] = str(prefect_home)
    # What is measured is how many it can answer, not how many it lets one caller send.
    os.environ["CONTROL_PLANE_RATE_LIMIT"] = "0"


if __name__ == "__main__":
    stop_on_termination()
    with tempfile.TemporaryDirectory(prefix="control-plane-bench-") as home:
        _forget_settings(Path(home))
        code = main({name: partial(_measure, name) for name in NAMES})
    sys.exit(code)

"""What a person waits for: `control-plane --help`, and `control-plane dev` until it is ready and until it is gone."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure, percentile
from benchmarks.running import progress, temporary_folder
from control_plane.embedded.processes import Process, clean_environment
from control_plane.embedded.programs import program

HELP_RUNS = 10
HELP_LIMIT_MS = 300.0
COLD_LIMIT_S = 60.0
WARM_LIMIT_S = 30.0
_PATIENCE_S = 300.0
"""Well above the limits, so that a slow start is told as a figure and not as a failure."""


def measure() -> Iterator[Figure]:
    """Help, then a cold start on an empty folder, a warm one on what it left, and the slower of their two stops."""
    progress(f"control-plane --help, {HELP_RUNS} times")
    _help()  # the first one may have to compile bytecode
    durations = [_help() for _ in range(HELP_RUNS)]
    yield Figure("dev_start.help_p50", percentile(durations, 50) * 1000, "ms", limit=HELP_LIMIT_MS)
    with temporary_folder() as folder:
        progress("control-plane dev, cold")
        cold, first_stop = _start_and_stop(folder, "cold")
        progress("control-plane dev, warm")
        warm, second_stop = _start_and_stop(folder, "warm")
    yield Figure("dev_start.cold", cold, "s", limit=COLD_LIMIT_S)
    yield Figure("dev_start.warm", warm, "s", limit=WARM_LIMIT_S)
    yield Figure("dev_start.stop", max(first_stop, second_stop), "s")


def _help() -> float:
    started = time.perf_counter()
    subprocess.run(
        [program("control-plane"), "--help"], check=True, stdout=subprocess.DEVNULL, env=clean_environment(), cwd="/"
    )
    return time.perf_counter() - started


def _start_and_stop(folder: Path, name: str) -> tuple[float, float]:
    """Seconds until it says that it is ready, and from Ctrl-C until it has ended."""
    dev = Process(
        "control-plane dev",
        [program("control-plane"), "dev", "--data", folder / "data"],
        log=folder / f"{name}.log",
        environment=clean_environment(),
        folder=folder,
        stop_signal=signal.SIGINT,
    )
    started = time.perf_counter()
    dev.start()
    try:
        # The log is looked at every 0.05 s, which is nothing beside the seconds that are measured.
        dev.wait_until(lambda: "Ready." in dev.log.read_text(), seconds=_PATIENCE_S)
        ready = time.perf_counter()
        os.kill(dev.popen.pid, signal.SIGINT)
        code = dev.popen.wait(_PATIENCE_S)
        stopped = time.perf_counter()
    finally:
        dev.stop()
    if code != 0:
        raise RuntimeError(f"control-plane dev did not stop cleanly, but with exit code {code}. {dev.last_words()}")
    return ready - started, stopped - ready

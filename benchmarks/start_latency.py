"""From accepted to the first line of flow code: an execution of ours against a plain flow run of Prefect.

Both run on the same Prefect server, in turns: ours on the worker that the control plane wakes, Prefect's on its process
worker that polls every second. Both clocks stop at the flow's first line, which reads the time. Ours starts when the
answer to `POST /executions` is there, which is when the execution is stored; Prefect's when the flow run is created. A
burst follows: as many executions at once, and how long until all have ended.
"""

import os
import random
import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, percentile
from benchmarks.running import ROOT, assistant, progress, request, running_stack, unpaced
from benchmarks.steps import STEPS, Course, ended, warm_worker
from benchmarks.stock import Stock, stock_worker
from benchmarks.waterfall import waterfall
from control_plane.embedded.bootstrap import Tenant
from control_plane.embedded.processes import Process
from control_plane.embedded.stack import Stack
from control_plane.rest import Rest

RUNS = 20
BURST = 50
RATIO_LIMIT = 0.05
"""Ours is to be twenty times as fast."""
P50_LIMIT_MS = 200.0
P99_LIMIT_MS = 600.0
RATE_LIMIT = 8.0
PICTURE = ROOT / "docs" / "images" / "start-latency.svg"


def measure() -> Iterator[Figure]:
    """The percentiles of both and their ratio, the way there step by step, memory of a process, and the burst."""
    with running_stack() as (stack, tenant), Rest(stack.api_url, tenant.api_key) as rest:
        worker = warm_worker(stack, tenant)
        body = request(assistant(rest, tenant))
        with stock_worker(stack) as stock:
            course = Course(rest, stock.client, worker)
            progress("warming up")
            for _ in range(3):
                _ours(course, body)
            _stock(stock)
            ours: list[dict[str, float]] = []
            plain: list[float] = []
            for number in range(1, RUNS + 1):
                ours.append(_ours(course, body))
                plain.append(_stock(stock))
                progress(f"run {number} of {RUNS}: ours {ours[-1]['first_line']:.0f} ms, stock {plain[-1]:.0f} ms")
            yield from _latencies([one["first_line"] for one in ours], plain)
            medians = {step: percentile([one[step] for one in ours], 50) for step in STEPS}
            for step, median in medians.items():
                yield Figure(f"start_latency.until_{step}_p50", median, "ms")
            _draw(medians)
        yield from _memory(worker)
        progress(f"{BURST} executions at once")
        rate = _burst(stack, tenant, unpaced(stack, tenant, body))
        yield Figure("start_latency.burst", rate, "runs/s", limit=RATE_LIMIT, at_least=True)


def _latencies(ours: list[float], plain: list[float]) -> Iterator[Figure]:
    yield Figure("start_latency.ours_p50", percentile(ours, 50), "ms", limit=P50_LIMIT_MS)
    yield Figure("start_latency.ours_p99", percentile(ours, 99), "ms", limit=P99_LIMIT_MS)
    yield Figure("start_latency.stock_p50", percentile(plain, 50), "ms")
    yield Figure("start_latency.stock_p99", percentile(plain, 99), "ms")
    ratio = percentile(ours, 50) / percentile(plain, 50)
    yield Figure("start_latency.ratio_p50", ratio, "ratio", limit=RATIO_LIMIT)


def _ours(course: Course, body: dict[str, Any]) -> dict[str, float]:
    """Milliseconds from accepted to each step."""
    _settle()
    return course.run(body)


def _draw(medians: Mapping[str, float]) -> None:
    way = {STEPS[step]: medians[step] for step in STEPS if step != "ended"}
    PICTURE.write_text(waterfall("From accepted to the first line of the flow, medians", way))
    progress(f"drawn: {PICTURE.relative_to(ROOT)}")


def _stock(stock: Stock) -> float:
    """Milliseconds from created to the flow's first line."""
    _settle()
    flow_run_id = stock.start()
    created = time.time()
    state = stock.ended(flow_run_id).state
    return (float(state.message or "nan") - created) * 1000 if state else float("nan")


def _burst(stack: Stack, tenant: Tenant, body: dict[str, Any]) -> float:
    """Executions a second, from before the first was sent until the last had ended."""

    @contextmanager
    def client() -> Iterator[Rest]:
        with Rest(stack.api_url, tenant.api_key) as rest:
            yield rest

    def start(_number: int) -> str:
        with client() as rest:
            return str(rest.post("/executions", body)["id"])

    began = datetime.now().astimezone()
    with ThreadPoolExecutor(8) as senders:
        ids = list(senders.map(start, range(BURST)))
    with client() as rest:
        ends = [datetime.fromisoformat(ended(rest, f"/executions/{one}")["finished_at"]) for one in ids]
    return BURST / (max(ends) - began).total_seconds()


def _memory(worker: Process) -> Iterator[Figure]:
    """What an idle process of the worker holds: all of it, and its fair share of what it shares. Linux tells root."""
    if os.geteuid() != 0:
        return
    idle = [_rollup(pid) for pid in _descendants(worker.popen.pid) if _rollup(pid)]
    server, *children = sorted(idle, key=lambda one: -one["Rss"])
    if not children:
        raise RuntimeError(f"{worker.name} has no processes ready, only one of {server} kB")
    yield Figure("start_latency.idle_process_rss", percentile([one["Rss"] for one in children], 50) / 1024, "MiB")
    yield Figure("start_latency.idle_process_pss", percentile([one["Pss"] for one in children], 50) / 1024, "MiB")


def _descendants(parent: int) -> Iterator[int]:
    for task in Path(f"/proc/{parent}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield int(child)
            yield from _descendants(int(child))


def _rollup(pid: int) -> dict[str, int]:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {name: int(size) for name, size in re.findall(r"^(Rss|Pss): +(\d+) kB", text, re.MULTILINE)}


def _settle() -> None:
    """Let the process of the last run end, and begin anywhere in the second between two polls."""
    time.sleep(1 + random.random())

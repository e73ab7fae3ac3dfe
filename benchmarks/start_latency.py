"""From created to the first line of flow code: an execution of ours against a plain flow run of Prefect.

Both run on the same Prefect server, each on a process worker that polls every second, in turns. Both are measured from
the moment before the request that creates them.

- Ours ends when the control plane notes that the execution is `running`, which is the flow's first act: claiming it.
  PostgreSQL's clock, which is this machine's, writes it. Imports of the flow, the request and its transaction come
  before that, so it is an upper bound of the time to the first line.
- Prefect's ends when the flow's first line reads the clock.
"""

import random
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from benchmarks.figures import Figure, percentile
from benchmarks.running import assistant, progress, request, running_stack, wait_for
from benchmarks.stock import Stock, stock_worker
from control_plane.embedded.stack import Stack
from control_plane.rest import Rest

RUNS = 10
RATIO_LIMIT = 1.25
"""Ours uses the stock process worker as well, so it can't be faster: it may cost a quarter more for storing and
dispatching the execution, importing more, and claiming it. A worker that keeps warm processes will lower this limit."""


def measure() -> Iterator[Figure]:
    """The medians of both and their ratio, and p90: late starts must not hide behind a median."""
    with (
        running_stack() as (stack, tenant),
        Rest(stack.api_url, tenant.api_key) as rest,
        stock_worker(stack) as stock,
    ):
        stack.start_worker(tenant.environment["work_pool"], tenant.worker_key)
        body = request(assistant(rest, tenant))
        progress("warming up")
        _ours(stack, rest, stock, body)
        _stock(stock)
        ours, plain = [], []
        for number in range(1, RUNS + 1):
            ours.append(_ours(stack, rest, stock, body))
            plain.append(_stock(stock))
            progress(f"run {number} of {RUNS}: ours {ours[-1]:.2f} s, stock {plain[-1]:.2f} s")
    for name, durations in (("ours", ours), ("stock", plain)):
        yield Figure(f"start_latency.{name}_p50", percentile(durations, 50), "s")
        yield Figure(f"start_latency.{name}_p90", percentile(durations, 90), "s")
    ratio = percentile(ours, 50) / percentile(plain, 50)
    yield Figure("start_latency.ratio_p50", ratio, "ratio", limit=RATIO_LIMIT)


def _ours(stack: Stack, rest: Rest, stock: Stock, body: dict[str, Any]) -> float:
    """Seconds from before the POST until the execution was running."""
    _settle()
    created = time.time()
    path = f"/executions/{rest.post('/executions', body)['id']}"

    def dispatched() -> str | None:
        stack.check()
        flow_run_id: str | None = rest.get(path)["flow_run_id"]
        return flow_run_id

    stock.ended(UUID(wait_for(dispatched, "the dispatch of the execution")))
    events = rest.get(f"{path}/events")
    running = next(event for event in events if event["data"].get("status") == "running")
    return datetime.fromisoformat(running["created_at"]).timestamp() - created


def _stock(stock: Stock) -> float:
    """Seconds from before the request to Prefect until the flow's first line."""
    _settle()
    created = time.time()
    state = stock.ended(stock.start()).state
    return float(state.message or "nan") - created if state else float("nan")


def _settle() -> None:
    """Let the process of the last run end, and begin anywhere in the second between two polls."""
    time.sleep(1 + random.random())

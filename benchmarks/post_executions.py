"""How many executions one API process accepts in a second, and how long the slowest of a hundred waits.

Everything is real: the executions are stored durably, and dispatched to Prefect while more are coming in. Only a worker
is missing, so that nothing runs. With a fixed number of clients, each waiting for its answer, the rate and the latency
are two sides of the same number: `CLIENTS` / rate is the mean latency.
"""

import subprocess
import sys
from collections.abc import Iterator

from benchmarks.figures import Figure, percentile
from benchmarks.load import Load, LoadResult
from benchmarks.running import ROOT, assistant, progress, request, running_stack
from control_plane.client import API_PREFIX
from control_plane.embedded.processes import clean_environment
from control_plane.rest import Rest

CLIENTS = 8
REQUESTS = 2_000
WARM_UP = 200
_PATIENCE_S = 300.0


def measure() -> Iterator[Figure]:
    """Requests/s and p99 of `POST /executions`."""
    with running_stack() as (stack, tenant):
        with Rest(stack.api_url, tenant.api_key) as rest:
            body = request(assistant(rest, tenant))
        load = Load(
            url=f"{stack.api_url}{API_PREFIX}/executions",
            key=tenant.api_key,
            body=body,
            connections=CLIENTS,
            requests=WARM_UP,
        )
        _generate(load)
        progress(f"{REQUESTS} executions from {CLIENTS} clients")
        result = _generate(load.model_copy(update={"requests": REQUESTS}))
    # No limits yet: 300 requests/s and a p99 of 60 ms are the aim, and one process on two cores is far from it.
    yield Figure("post_executions.rate", REQUESTS / result.seconds, "requests/s")
    yield Figure("post_executions.p50", percentile(result.latencies, 50) * 1000, "ms")
    yield Figure("post_executions.p99", percentile(result.latencies, 99) * 1000, "ms")


def _generate(load: Load) -> LoadResult:
    # `run` ends the process if it is interrupted; in a session of its own a Ctrl-C doesn't reach it first.
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=load.model_dump_json().encode(),
        stdout=subprocess.PIPE,
        check=True,
        timeout=_PATIENCE_S,
        env=clean_environment(),
        cwd=ROOT,
        start_new_session=True,
    )
    return LoadResult.model_validate_json(done.stdout)

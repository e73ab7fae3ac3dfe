"""Whether one organization waits behind all that another has asked for.

`QUEUED` executions of one are accepted while Prefect hangs, so that all of them are still to be dispatched when it goes
on. Meanwhile the other organization starts single ones, and the time from accepted to the flow's first line is compared
with what it is when nobody else wants anything. Nobody carries out the executions of the first one: they take the
control plane, its database and Prefect, as they would if its workers were on machines of their own.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prefect.client.orchestration import SyncPrefectClient

from benchmarks.figures import Figure, percentile
from benchmarks.post_executions import prepared
from benchmarks.reading import connected
from benchmarks.running import assistant, paused, progress, request, running_stack, wait_for
from benchmarks.steps import STEPS, Course, warm_worker
from control_plane.embedded.bootstrap import Tenant
from control_plane.embedded.stack import Stack
from control_plane.rest import Rest

QUEUED = 5_000
RUNS = 10
RATIO_LIMIT = 2.0
_WARM_UP = 3


def measure() -> Iterator[Figure]:
    """The medians of the one who asks for little, alone and beside the one who asks for much, and their ratio."""
    with running_stack() as (stack, crowd):
        single = _another_tenant(stack)
        worker = warm_worker(stack, single)
        prefect = SyncPrefectClient(stack.prefect.api_url, auth_string=stack.prefect.auth_string)
        with prefect, Rest(stack.api_url, single.api_key) as rest:
            body = request(assistant(rest, single))
            course = Course(rest, prefect, worker)
            progress("one organization alone")
            for _ in range(_WARM_UP):
                course.run(body)
            alone = _medians([course.run(body) for _ in range(RUNS)])
            with paused(stack, "Prefect server"):
                progress(f"the other one starts {QUEUED:,} executions")
                prepared(stack, crowd).model_copy(update={"requests": QUEUED}).run()
            _wait_for_the_first(stack)
            progress("both")
            before, began = _pending(stack), time.monotonic()
            beside = _medians([course.run(body) for _ in range(RUNS)])
            left, ended = _pending(stack), time.monotonic()
    for step in STEPS:
        progress(f"until {step}: {alone[step]:.0f} ms alone, {beside[step]:.0f} ms beside the other one")
    yield Figure("fairness.alone_p50", alone["first_line"], "ms")
    yield Figure("fairness.beside_p50", beside["first_line"], "ms")
    yield Figure("fairness.ratio", beside["first_line"] / alone["first_line"], "times", RATIO_LIMIT)
    yield Figure("fairness.meanwhile", (before - left) / (ended - began), "dispatched/s")
    yield Figure("fairness.left", left, "executions", 1, at_least=True)


def _medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {step: percentile([run[step] for run in runs], 50) for step in STEPS}


def _another_tenant(stack: Stack) -> Tenant:
    """An organization beside that of the stack, with an environment whose work pool exists."""
    with stack.operator() as operator:
        organization = operator.post("/organizations", {"name": "Single", "slug": "single"})
        issued = operator.post(f"/organizations/{organization['id']}/bootstrap", {"name": "benchmark"})
    with Rest(stack.api_url, issued["key"]) as rest:
        project = rest.post("/projects", {"name": "Single", "slug": "single"})
        body: dict[str, Any] = {
            "name": "Development",
            "slug": "dev",
            "project_id": project["id"],
            "llm_override": {"provider": "scripted", "model": "assistant"},
        }
        environment = stack.wait_for_pool(rest, rest.post("/environments", body)["id"])
        key = rest.post(f"/environments/{environment['id']}/worker-keys", {"name": "benchmark"})["key"]
    return Tenant(issued["key"], key, environment)


def _wait_for_the_first(stack: Stack) -> None:
    """Prefect has to recover from having been stopped, which is no part of what is measured."""
    waiting = _pending(stack)
    wait_for(lambda: True if _pending(stack) < waiting else None, "the dispatching of the first one")


def _pending(stack: Stack) -> int:
    """How many executions are still to be dispatched. Asked of the database: pages would take many requests."""
    with connected(stack) as connection:
        found = connection.execute("SELECT count(*) FROM executions WHERE status = 'pending'").fetchone()
    return int(found[0]) if found else 0

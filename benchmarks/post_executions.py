"""How many executions one API process accepts in a second, and how long the slowest of a hundred waits.

Everything is real: a key is checked, row-level security is on, a policy of the organization's own applies, and the
executions are stored durably. Only a worker is missing, so that nothing runs. With a fixed number of clients, each
waiting for its answer, the rate and the latency are two sides of the same number: `CLIENTS` / rate is the mean latency.

Measured twice: while Prefect hangs (the median of three rounds), which is how much the control plane itself accepts,
and while Prefect starts a flow run for each of them on the same cores. Nothing may be lost by the former: everything
gets its flow run once Prefect goes on.
"""

from collections.abc import Iterator

from benchmarks.figures import Figure, percentile
from benchmarks.load import Load, LoadResult
from benchmarks.running import paused, progress, request, running_stack, wait_for
from control_plane.client import API_PREFIX
from control_plane.embedded.bootstrap import Tenant
from control_plane.embedded.stack import Stack
from control_plane.rest import Rest

CLIENTS = 8
ROUNDS = 3
REQUESTS = 500
WITH_PREFECT = 500
WARM_UP = 200
LEAST_RATE = 300.0
MOST_P99_MS = 60.0

_POLICY = {
    "name": "careful",
    "module": (
        "package careful\n\nimport rego.v1\n\n"
        'deny contains "not after hours" if {\n\tinput.tool.effect == "destroy"\n\tinput.context.hour > 17\n}\n'
    ),
}


def measure() -> Iterator[Figure]:
    """Requests/s and p99 of `POST /executions`."""
    with running_stack() as (stack, tenant):
        load = prepared(stack, tenant)
        with paused(stack, "Prefect server"):
            load.model_copy(update={"requests": WARM_UP}).run()
            progress(f"{ROUNDS} times {REQUESTS} executions from {CLIENTS} clients while Prefect hangs")
            accepted = sorted((load.run() for _ in range(ROUNDS)), key=lambda result: result.seconds)[ROUNDS // 2]
        yield from _figures("post_executions", accepted, least=LEAST_RATE, most_p99=MOST_P99_MS)
        progress("waiting until Prefect has them all")
        with Rest(stack.api_url, tenant.api_key) as rest:
            wait_for(lambda: True if not rest.get("/executions", status="pending", limit="1") else None, "dispatching",
                     seconds=900)  # fmt: skip
        progress(f"{WITH_PREFECT} executions while Prefect starts them")
        beside = load.model_copy(update={"requests": WITH_PREFECT}).run()
        yield from _figures("post_executions_beside_prefect", beside)


def prepared(stack: Stack, tenant: Tenant) -> Load:
    """The load of executions of an agent with a policy of its organization's own."""
    with Rest(stack.api_url, tenant.api_key) as rest:
        rest.post("/policies", _POLICY)
        agent = rest.post(
            "/agents",
            {
                "name": "careful assistant",
                "environment_id": tenant.environment["id"],
                "llm_config": {"provider": "scripted", "model": "assistant"},
                "toolsets": ["clock", "files"],
                "policies": ["no_destructive_tools", "careful"],
            },
        )
    return Load(
        urls=[f"{stack.api_url}{API_PREFIX}/executions"],
        method="POST",
        expected=201,
        key=tenant.api_key,
        body=request(agent["id"]),
        connections=CLIENTS,
        requests=REQUESTS,
    )


def _figures(
    name: str, result: LoadResult, *, least: float | None = None, most_p99: float | None = None
) -> Iterator[Figure]:
    yield Figure(f"{name}.rate", len(result.latencies) / result.seconds, "requests/s", least, at_least=True)
    yield Figure(f"{name}.p50", percentile(result.latencies, 50) * 1000, "ms")
    yield Figure(f"{name}.p99", percentile(result.latencies, 99) * 1000, "ms", most_p99)

"""Whether the API process grows with the requests it has answered."""

from collections.abc import Iterator

from benchmarks.figures import Figure
from benchmarks.load import Load
from benchmarks.post_executions import prepared
from benchmarks.running import paused, progress, resident_mb, running_stack

REQUESTS = 100_000
_STARTED = 2_000
_WARM_UP = 20_000
_CONNECTIONS = 16
_MOST_GROWTH = 1.05


def measure() -> Iterator[Figure]:
    """Resident memory after a warm-up, and how many times as much it is after `REQUESTS` more."""
    with running_stack() as (stack, tenant), paused(stack, "Prefect server"):
        started = prepared(stack, tenant)
        url = started.urls[0]
        reading = started.model_copy(
            update={
                "urls": [
                    f"{url}?limit=1",
                    f"{url}?limit=50",
                    f"{url}?status=pending&limit=5",
                    url.replace("executions", "agents"),
                ],
                "method": "GET",
                "expected": 200,
                "body": None,
                "connections": _CONNECTIONS,
            }
        )
        progress(f"{_WARM_UP} requests to warm up")
        _send(started, reading, _WARM_UP)
        before = resident_mb(stack, "API")
        progress(f"{REQUESTS} requests")
        _send(started, reading, REQUESTS)
        after = resident_mb(stack, "API")
    yield Figure("memory.api", after, "MB")
    yield Figure("memory.growth", after / before, f"times in {REQUESTS} requests", _MOST_GROWTH)


def _send(started: Load, reading: Load, requests: int) -> None:
    started.model_copy(update={"requests": _STARTED}).run()
    reading.model_copy(update={"requests": requests - _STARTED}).run()

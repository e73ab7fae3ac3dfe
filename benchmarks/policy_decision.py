"""How long one decision takes: a warm engine, the bundled policies, the example input."""

import asyncio
import time
from collections.abc import Iterator, Sequence

from benchmarks.figures import Figure, percentile
from benchmarks.running import progress
from control_plane.wire.plan import PolicyPlan
from policies.input import EXAMPLE
from policies.library import bundled
from policies.regorus_engine import RegorusEngine

DECISIONS = 2_000
WARM_UP = 100
LIMIT_MS = 5.0
"""Nobody waits for a decision that is this short beside a model turn, which takes seconds. Some tenths are usual."""


def measure() -> Iterator[Figure]:
    """p50 and p99 with one policy and with three, through the whole engine: digest, pipe, child process, answer."""
    policies = list(bundled().values())
    for count, chosen in (("one", policies[:1]), ("three", policies[:3])):
        progress(f"{DECISIONS} decisions by {count} of the bundled policies")
        durations = asyncio.run(_decide(chosen))
        yield Figure(f"policy_decision.{count}_p50", percentile(durations, 50), "ms")
        yield Figure(f"policy_decision.{count}_p99", percentile(durations, 99), "ms", limit=LIMIT_MS)


async def _decide(policies: Sequence[PolicyPlan]) -> list[float]:
    durations = []
    async with RegorusEngine() as engine:
        for number in range(WARM_UP + DECISIONS):
            started = time.perf_counter()
            decision = await engine.decide(policies, EXAMPLE)
            if number >= WARM_UP:
                durations.append((time.perf_counter() - started) * 1000)
            if decision.reasons:
                raise RuntimeError(f"the example is allowed by the bundled policies, but: {decision.reasons}")
    return durations

"""Figures, as every benchmark yields them."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. `limit` is what it may be at most; with `at_least`, for rates, what it has to reach."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    at_least: bool = False

    @property
    def ok(self) -> bool:
        """Whether it keeps its limit. Without one there is nothing to miss."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def line(self) -> str:
        """The figure as one line of JSON."""
        value = float(f"{self.value:.6g}")  # more digits than a measurement of time has to tell
        return json.dumps({"name": self.name, "value": value, "unit": self.unit, "limit": self.limit, "ok": self.ok})


Benchmark = Callable[[], Iterable[Figure]]
"""Measures when it is called, and stops and removes everything it has started or made."""


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the measured values that at least `percent` of them don't exceed (nearest rank)."""
    return sorted(values)[max(ceil(len(values) * percent / 100), 1) - 1]

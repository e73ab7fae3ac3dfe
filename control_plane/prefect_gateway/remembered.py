"""What was found out lately and needn't be asked again, in the memory of this process."""

import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta
from typing import Generic, TypeVar

Key = TypeVar("Key")
Fact = TypeVar("Fact")


class Remembered(Generic[Key, Fact]):
    """Facts by key. `most` are kept, the least recently used go first; after `lifetime` (None: never) one is gone."""

    def __init__(
        self, most: int, *, lifetime: timedelta | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._seconds = lifetime.total_seconds() if lifetime else float("inf")
        self._clock = clock
        self._facts: OrderedDict[Key, tuple[float, Fact]] = OrderedDict()

    def get(self, key: Key) -> Fact | None:
        """The fact, unless it is unknown or too old."""
        found = self._facts.get(key)
        if found is None:
            return None
        until, fact = found
        if until <= self._clock():
            del self._facts[key]
            return None
        self._facts.move_to_end(key)
        return fact

    def put(self, key: Key, fact: Fact) -> None:
        """Remember a fact from now on."""
        self._facts[key] = (self._clock() + self._seconds, fact)
        self._facts.move_to_end(key)
        while len(self._facts) > self._most:
            self._facts.popitem(last=False)

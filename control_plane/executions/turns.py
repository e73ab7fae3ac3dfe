"""Taking turns: so many at once, and no organization waits behind all that another has asked for."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class FairTurns:
    """At most `most` turns at once, and `each` of one key.

    Those who wait are served by turns of their keys, first come first served in each. Not for several threads.
    """

    def __init__(self, most: int, *, each: int | None = None) -> None:
        self._free = most
        self._each = each or most
        self._taken: Counter[Hashable] = Counter()
        self._waiting: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def of(self, key: Hashable) -> AsyncIterator[None]:
        """Wait for a turn and have it for the length of the block."""
        await self._take(key)
        try:
            yield
        finally:
            self._give_back(key)

    async def _take(self, key: Hashable) -> None:
        if self._free and self._taken[key] < self._each:
            self._free -= 1
            self._taken[key] += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was given to us just then
                self._give_back(key)
            raise

    def _give_back(self, key: Hashable) -> None:
        self._free += 1
        self._taken[key] -= 1
        if not self._taken[key]:
            del self._taken[key]
        self._pass_on()

    def _pass_on(self) -> None:
        while self._free and (key := self._next()) is not None:
            queue = self._waiting.pop(key)
            turn = queue.popleft()
            if queue:
                self._waiting[key] = queue  # behind all others
            if not turn.done():
                self._free -= 1
                self._taken[key] += 1
                turn.set_result(None)

    def _next(self) -> Hashable | None:
        return next((key for key in self._waiting if self._taken[key] < self._each), None)

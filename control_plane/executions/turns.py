"""Taking turns: so many at once, and no organization waits behind all that another has asked for."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class FairTurns:
    """At most `most` turns at once. Those who wait are served by turns of their keys, first come first served in each.

    Not for several threads.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._waiting: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def of(self, key: Hashable) -> AsyncIterator[None]:
        """Wait for a turn and have it for the length of the block."""
        await self._take(key)
        try:
            yield
        finally:
            self._pass_on()

    async def _take(self, key: Hashable) -> None:
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was given to us just then
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            key, queue = self._waiting.popitem(last=False)
            turn = queue.popleft()
            if queue:
                self._waiting[key] = queue  # behind all others
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

"""Signals of an SDK that drives the conversation in a task of its own, one at a time."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Coroutine
from typing import Any

from flows.exits import surviving
from flows.runtimes.protocol import Signal


class Channel:
    """What one side tells, the other side takes in before the first goes on: so no tool runs ahead of its turn."""

    def __init__(self) -> None:
        self._signals: asyncio.Queue[tuple[Signal, asyncio.Event]] = asyncio.Queue()

    async def tell(self, signal: Signal) -> None:
        """Return when the signal has been taken in."""
        taken = asyncio.Event()
        await self._signals.put((signal, taken))
        await taken.wait()

    async def during(self, work: Coroutine[Any, Any, object]) -> AsyncGenerator[Signal]:
        """What is told while the work is done. Raises what the work raises; closing it cancels the work."""
        running = asyncio.create_task(surviving(work))
        try:
            while True:
                coming = asyncio.create_task(self._signals.get())
                try:
                    await asyncio.wait({running, coming}, return_when=asyncio.FIRST_COMPLETED)
                    if not coming.done():
                        break
                    signal, taken = coming.result()
                finally:
                    coming.cancel()
                yield signal
                taken.set()
            await running
        finally:
            await _stopped(running)


async def _stopped(task: "asyncio.Task[object]") -> None:
    task.cancel()
    waiting: Awaitable[object] = asyncio.wait({task})
    await waiting

"""Hearing from a program when it has begun, and when it and all that it started have ended."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

HOLD = "exec 3>lifeline; echo begun >&3; sleep 1234 & sleep 1234"
"""For a shell in the folder of the lifeline: tells that it has begun, and goes on with a child in the background."""


class Lifeline:
    """A named pipe that a program holds open as long as any of its processes lives."""

    def __init__(self, stream: asyncio.StreamReader, kept: int) -> None:
        self._stream = stream
        self._kept = kept

    async def begun(self) -> None:
        async with asyncio.timeout(20):
            assert await self._stream.readline() == b"begun\n"
        os.close(self._kept)

    async def ended(self) -> None:
        async with asyncio.timeout(20):
            assert await self._stream.read() == b""


@asynccontextmanager
async def lifeline(folder: Path) -> AsyncIterator[Lifeline]:
    path = folder / "lifeline"
    os.mkfifo(path)
    # A reader alone would find the pipe at its end before the program has opened it.
    kept = os.open(path, os.O_RDWR)
    stream = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", 0)
    )
    try:
        yield Lifeline(stream, kept)
    finally:
        transport.close()

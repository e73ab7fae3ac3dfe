"""The end of a log file, and what comes next. Logs hold what tools and models said, so they are read as plain text."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_BLOCK_BYTES = 64 * 1024
_LOOK_EVERY_SECONDS = 0.2


class WorkerLog:
    """Reads a log from its end on, also when it is begun anew or cut while it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def last(self, count: int) -> list[str]:
        """The last lines; none if there is no log yet."""
        try:
            with self.path.open("rb") as file:
                return _lines(_tail(file.fileno(), count))[-count:] if count else []
        except FileNotFoundError:
            return []

    def size(self) -> int:
        """How much of it there is now, in bytes."""
        return self.path.stat().st_size if self.path.exists() else 0

    def since(self, position: int) -> tuple[list[str], int]:
        """The whole lines behind a position, and the position to go on from."""
        if self.size() < position:
            position = 0  # it was begun anew
        try:
            with self.path.open("rb") as file:
                file.seek(position)
                whole, end, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return [], position
        return _lines(whole), position + len(whole) + len(end)

    def follow(self, count: int, *, goes_on: Callable[[], bool]) -> Iterator[str]:
        """The last lines, then each new one as it comes, until `goes_on()` is false and all was read."""
        position = self.size()
        yield from self.last(count)
        more = True
        while more:
            more = goes_on()  # asked before reading, so that the last words are read too
            lines, position = self.since(position)
            yield from lines
            if more and not lines:
                time.sleep(_LOOK_EVERY_SECONDS)


def _tail(file: int, count: int) -> bytes:
    """Enough of the end of a file to hold so many lines."""
    start = os.lseek(file, 0, os.SEEK_END)
    found = b""
    while start > 0 and found.count(b"\n") <= count:
        length = min(_BLOCK_BYTES, start)
        start -= length
        found = os.pread(file, length, start) + found
    return found


def _lines(text: bytes) -> list[str]:
    return [_plain(line) for line in text.decode(errors="replace").splitlines()]


def _plain(line: str) -> str:
    """Without control characters: what a tool returned must not steer the reader's terminal."""
    return "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in line)

"""A load generator, run as a process of its own: a fixed number of connections, each asking again once it is answered.

It speaks just enough HTTP/1.1 itself: a general client costs about as much CPU for each request as the server, and on a
small machine that would be measured too. Reads a `Load` as JSON from stdin, writes a `LoadResult` to stdout.
"""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, JsonValue

from control_plane.embedded.processes import clean_environment

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_PATIENCE_S = 900.0


class Load(BaseModel):
    """Ask for `urls` in turn, all of one server, `requests` times in all. Another status than `expected` ends it.

    With `rate`, requests begin at that many a second, whether or not those before are answered, as long as one of the
    connections is free; without, each connection asks again at once.
    """

    urls: list[str]
    method: Literal["GET", "POST"] = "GET"
    expected: int = 200
    key: str = Field(repr=False)
    body: JsonValue = None
    connections: int
    requests: int
    rate: float | None = None

    def run(self) -> "LoadResult":
        """Send it from a process of its own. Raises `CalledProcessError` after another status than the expected one."""
        # An interruption ends this process; in a session of its own a Ctrl-C doesn't reach the other one first.
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.load"],
            input=self.model_dump_json().encode(),
            stdout=subprocess.PIPE,
            check=True,
            timeout=_PATIENCE_S,
            env=clean_environment(),
            cwd=Path(__file__).parents[1],
            start_new_session=True,
        )
        return LoadResult.model_validate_json(done.stdout)


class LoadResult(BaseModel):
    """How long all of it took, in seconds, and each request until its last byte was received.

    A request's time begins with its first byte sent or, with a rate, when its turn had come, so that a server that
    keeps everybody waiting looks no better for being asked less.
    """

    seconds: float
    latencies: list[float]


async def generate(load: Load) -> LoadResult:
    """Send the load. Raises `RuntimeError` if an answer has another status."""
    latencies: list[float] = []
    started = time.perf_counter()
    # All connections take from the same pile, so that all are busy until the end.
    pile = _pile(load, started)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(load.connections):
            tasks.create_task(_client(load, pile, latencies))
    return LoadResult(seconds=time.perf_counter() - started, latencies=latencies)


def _pile(load: Load, started: float) -> Iterator[tuple[float | None, bytes]]:
    for number, request in enumerate(islice(cycle([_request(load, url) for url in load.urls]), load.requests)):
        yield started + number / load.rate if load.rate else None, request


async def _client(load: Load, pile: Iterator[tuple[float | None, bytes]], latencies: list[float]) -> None:
    target = urlsplit(load.urls[0])
    reader, writer = await asyncio.open_connection(target.hostname, target.port)
    try:
        for due, request in pile:
            started = due or time.perf_counter()
            await asyncio.sleep(max(0.0, started - time.perf_counter()))
            status, body = await exchange(reader, writer, request)
            latencies.append(time.perf_counter() - started)
            if status != load.expected:
                raise RuntimeError(f"the answer was {status}: {body[:500]!r}")
    finally:
        writer.close()


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[int, bytes]:
    """Send a request over a connection; the status and the body of the answer."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    body = await reader.readexactly(int(length[1]) if length else 0)
    return int(head.split(b" ", 2)[1]), body


def _request(load: Load, url: str) -> bytes:
    target = urlsplit(url)
    path = f"{target.path}?{target.query}" if target.query else target.path
    head = f"{load.method} {path} HTTP/1.1\r\nHost: {target.netloc}\r\nAuthorization: Bearer {load.key}\r\n"
    if load.body is None:
        return f"{head}\r\n".encode()
    body = json.dumps(load.body).encode()
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


if __name__ == "__main__":
    print(asyncio.run(generate(Load.model_validate_json(sys.stdin.read()))).model_dump_json())

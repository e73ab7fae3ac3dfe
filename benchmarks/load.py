"""A load generator, run as a process of its own: a fixed number of connections, each asking again once it is answered.

It speaks just enough HTTP/1.1 itself: a general client costs about as much CPU for each request as the server, and on a
small machine that would be measured too. Reads a `Load` as JSON from stdin, writes a `LoadResult` to stdout.
"""

import asyncio
import json
import re
import sys
import time
from itertools import repeat
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, JsonValue

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class Load(BaseModel):
    """POST `body` to `url`, `requests` times in all. Another status than 201 ends it."""

    url: str
    key: str = Field(repr=False)
    body: JsonValue
    connections: int
    requests: int


class LoadResult(BaseModel):
    """How long all of it took, and each request from its first byte sent to its last byte received."""

    seconds: float
    latencies: list[float]


async def generate(load: Load) -> LoadResult:
    """Send the load. Raises `RuntimeError` if an answer isn't 201."""
    latencies: list[float] = []
    # All connections take from the same pile, so that all are busy until the end.
    pile = iter(repeat(_request(load), load.requests))
    started = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(load.connections):
            tasks.create_task(_client(load, pile, latencies))
    return LoadResult(seconds=time.perf_counter() - started, latencies=latencies)


async def _client(load: Load, pile: "repeat[bytes]", latencies: list[float]) -> None:
    target = urlsplit(load.url)
    reader, writer = await asyncio.open_connection(target.hostname, target.port)
    try:
        for request in pile:
            started = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1]) if length else 0)
            latencies.append(time.perf_counter() - started)
            if head.split(b" ", 2)[1] != b"201":
                raise RuntimeError(f"the answer was {head.splitlines()[0].decode()}: {body[:500]!r}")
    finally:
        writer.close()


def _request(load: Load) -> bytes:
    target = urlsplit(load.url)
    body = json.dumps(load.body).encode()
    head = (
        f"POST {target.path} HTTP/1.1\r\nHost: {target.netloc}\r\nAuthorization: Bearer {load.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


if __name__ == "__main__":
    print(asyncio.run(generate(Load.model_validate_json(sys.stdin.read()))).model_dump_json())

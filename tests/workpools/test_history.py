import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast
from uuid import uuid4

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogHandler, set_api_log_sink

from workpools.history import History

pytestmark = pytest.mark.unit

LIMIT = 1 << 20
"""Bytes of a body that the control plane takes."""


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """A history is for a process that ends with it; this one goes on."""
    yield
    EventsWorker.set_client_override(None)
    set_api_log_sink(None)


class Line:
    """The part of Prefect's client that a history needs; fails if it is told to."""

    def __init__(self, *, failing: bool = False) -> None:
        self.failing = failing
        self.logs: list[list[dict[str, Any]]] = []
        self.reached = asyncio.Event()

    async def create_logs(self, logs: list[dict[str, Any]]) -> None:
        self.reached.set()
        await asyncio.sleep(0)
        self.logs.append(logs)
        if self.failing:
            raise ConnectionError("away")


def line_of_log(size: int) -> dict[str, Any]:
    line = {"name": "flows", "level": 20, "message": "x" * size, "flow_run_id": str(uuid4())}
    return line | {"__payload_size__": APILogHandler()._get_payload_size(line)}


async def sent(line: Line, *sizes: int) -> list[int]:
    """How many lines each request has had."""
    history = History(cast("PrefectClient", line))
    async with history:
        for size in sizes:
            history._logs.put(line_of_log(size))
    return [len(logs) for logs in line.logs]


async def test_what_is_logged_leaves_together() -> None:
    assert await sent(Line(), 10, 20, 30) == [3]


async def test_no_request_is_larger_than_the_control_plane_takes() -> None:
    line = Line()

    parts = await sent(line, *[400_000] * 5, 990_000, 10)

    assert parts == [2, 2, 1, 1, 1]
    assert all(len(json.dumps(logs)) < LIMIT for logs in line.logs)
    assert all("__payload_size__" not in log for logs in line.logs for log in logs)


async def test_a_log_that_can_not_be_sent_stops_nothing() -> None:
    assert await sent(Line(failing=True), 10) == [1]


async def test_what_is_just_being_sent_at_the_end_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workpools.history._EVERY", timedelta(milliseconds=1))
    line = Line()
    history = History(cast("PrefectClient", line))

    async with history:
        history._logs.put(line_of_log(10))
        await line.reached.wait()

    assert [len(logs) for logs in line.logs] == [1]

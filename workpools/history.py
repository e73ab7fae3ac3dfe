"""What Prefect hears of a run while it is under way, beside its states: lines of its log, and what its tasks tell."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from datetime import timedelta
from queue import Empty, SimpleQueue
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.events import Event
from prefect.events.worker import EventsWorker, ProcessPoolForwardingEventsClient
from prefect.logging.handlers import set_api_log_sink

logger = logging.getLogger(__name__)

_EVERY = timedelta(seconds=2)
_MOST_AT_ONCE = 200
_LARGEST_BYTES = 900_000


class History:
    """Takes what Prefect's log handler and its thread for events would send by themselves, and sends it together.

    Use as an async context manager around the run: every two seconds, and at the end. What can't be sent is dropped,
    since no execution fails for want of its log in Prefect.
    """

    def __init__(self, client: PrefectClient) -> None:
        self._client = client
        self._logs: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._events: SimpleQueue[tuple[str, Event]] = SimpleQueue()
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        set_api_log_sink(self._logs.put)
        # Prefect's thread goes on adding what belongs to an event. It sends nothing by a client that it doesn't know.
        EventsWorker.set_client_override(ProcessPoolForwardingEventsClient, event_queue=self._events)
        self._task = asyncio.create_task(self._send_until_the_end(), name="history")

    async def __aexit__(self, *_error: object) -> None:
        set_api_log_sink(lambda _log: None)
        # Not cancelled: what it is just sending would be lost.
        self._ended.set()
        if self._task:
            await self._task
        await self._send()

    async def _send_until_the_end(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _EVERY.total_seconds())
            await self._send()

    async def _send(self) -> None:
        await asyncio.gather(self._send_logs(), self._send_events())

    async def _send_logs(self) -> None:
        while batch := _taken(self._logs):
            for some in _fitting(batch):
                try:
                    await self._client.create_logs(some)
                except Exception as error:  # noqa: BLE001 - no execution fails for want of its log
                    logger.warning("logs could not be sent: %s", type(error).__name__)

    async def _send_events(self) -> None:
        while batch := _taken(self._events):
            told = [event.model_dump(mode="json") for _, event in batch]
            try:
                await self._client.request("POST", "/events", json=told)
            except Exception as error:  # noqa: BLE001 - as above
                logger.warning("events could not be sent: %s", type(error).__name__)


def _fitting(logs: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The same in parts that are no larger than the control plane takes. Prefect's handler has measured each."""
    part: list[dict[str, Any]] = []
    size = 0
    for log in logs:
        size += (own := log.pop("__payload_size__", 0))
        if part and size > _LARGEST_BYTES:
            yield part
            part, size = [], own
        part.append(log)
    yield part


def _taken(waiting: "SimpleQueue[Any]") -> list[Any]:
    taken: list[Any] = []
    with contextlib.suppress(Empty):
        while len(taken) < _MOST_AT_ONCE:
            taken.append(waiting.get_nowait())
    return taken

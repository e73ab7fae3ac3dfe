"""Telling the control plane what happens: in order, nothing lost, nothing twice, as soon as the line is free."""

import asyncio
from collections import deque
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol, Self
from uuid import UUID

from control_plane.wire.executions import MAX_EVENTS_A_BATCH, EventReceipt, EventReport, EventType, ReportedEvent

MAX_WAITING = 2_000
"""Events held back while the control plane doesn't answer; then whoever emits waits too."""


class Reporting(Protocol):
    """The part of the client that delivers events. Sending the same numbers twice is harmless."""

    async def report(self, execution_id: UUID, report: EventReport) -> EventReceipt:
        """Deliver a batch."""


class Reporter:
    """Delivers events of one claim. Use as an async context manager: leaving it delivers what is left.

    A failure to deliver is raised by the next `emit` or `flush`: an execution whose story can't be told must not go on.
    """

    def __init__(self, client: Reporting, execution_id: UUID, *, fence: int) -> None:
        self._client = client
        self._execution_id = execution_id
        self._fence = fence
        self._waiting: deque[tuple[EventType, dict[str, Any], datetime]] = deque()
        self._sequence = 0
        self._changed = asyncio.Condition()
        self._sending = False
        self._closed = False
        self._failure: BaseException | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._deliver(), name="event delivery")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._task:
            await self._task

    async def emit(self, kind: EventType, data: dict[str, Any]) -> None:
        """Hand over one event. Returns at once unless too many wait. Raises what broke the delivery."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._waiting) < MAX_WAITING or self._failure)
            if self._failure:
                raise self._failure
            self._waiting.append((kind, data, datetime.now(UTC)))
            self._changed.notify_all()

    async def flush(self) -> None:
        """Return when everything handed over so far has been received. Raises what broke the delivery."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._failure or not (self._waiting or self._sending))
            if self._failure:
                raise self._failure

    async def _deliver(self) -> None:
        while batch := await self._next_batch():
            try:
                await self._client.report(self._execution_id, EventReport(fence=self._fence, events=batch))
            except Exception as error:  # noqa: BLE001 - it is raised to whoever emits next
                async with self._changed:
                    self._failure = error
                    self._sending = False
                    self._changed.notify_all()
                return
            async with self._changed:
                self._sending = False
                self._changed.notify_all()

    async def _next_batch(self) -> list[ReportedEvent]:
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting or self._closed)
            batch: list[ReportedEvent] = []
            while self._waiting and len(batch) < MAX_EVENTS_A_BATCH:
                kind, data, occurred_at = self._waiting.popleft()
                if batch and (merged := _merged(batch[-1], kind, data)):
                    batch[-1] = merged
                    continue
                self._sequence += 1
                batch.append(ReportedEvent(sequence=self._sequence, type=kind, data=data, occurred_at=occurred_at))
            self._sending = bool(batch)
            self._changed.notify_all()
            return batch


def _merged(last: ReportedEvent, kind: EventType, data: dict[str, Any]) -> ReportedEvent | None:
    """Two chunks of the same message that waited together, as one; None if these aren't such."""
    if not last.type == kind == EventType.MESSAGE_CHUNK:
        return None
    before, after = dict(last.data), data["data"]
    earlier = before["data"]
    if not isinstance(earlier, dict) or earlier["message_id"] != after["message_id"]:
        return None
    joined = {**earlier, "content": f"{earlier['content']}{after['content']}"}
    return last.model_copy(update={"data": {"data": joined}})

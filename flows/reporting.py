"""Telling the control plane what happens: in order, nothing lost, nothing twice, as soon as the line is free."""

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol, Self
from uuid import UUID

from pydantic import ConfigDict, JsonValue, TypeAdapter

from control_plane.wire.executions import (
    MAX_BATCH_BYTES,
    MAX_EVENTS_A_BATCH,
    EventReceipt,
    EventReport,
    EventType,
    ReportedEvent,
)
from control_plane.wire.mending import mended
from flows.fitting import fitted, size

MAX_WAITING = 2_000
"""Events held back while the control plane doesn't answer; then whoever emits waits too."""

REPORTS_EVERY_SECONDS = 0.03
"""Events that follow each other faster leave together: a reader sees no difference, and each report is a request and a
transaction. What somebody waits for leaves at once."""

LONGEST_PAUSE_SECONDS = 0.5
"""A control plane that takes longer for a report than that pause is busy, and is left alone for as long as it took."""

_CHUNKS = frozenset({EventType.MESSAGE_CHUNK, EventType.THINKING_CHUNK})

_DATA = TypeAdapter(dict[str, JsonValue], config=ConfigDict(hide_input_in_errors=True))


@dataclass(frozen=True, slots=True)
class _Event:
    kind: EventType
    data: dict[str, JsonValue]
    size: int
    occurred_at: datetime


class Reporting(Protocol):
    """The part of the client that delivers events. Sending the same numbers twice is harmless."""

    async def report(self, execution_id: UUID, report: EventReport) -> EventReceipt:
        """Deliver a batch."""


class Reporter:
    """Delivers events of one claim. Use as an async context manager: leaving it delivers what is left.

    A failure to deliver is raised by the next `emit` or `flush`: an execution whose story can't be told must not go on.
    An event too large for one report is cut to fit.
    """

    def __init__(self, client: Reporting, execution_id: UUID, *, fence: int) -> None:
        self._client = client
        self._execution_id = execution_id
        self._fence = fence
        self._waiting: deque[_Event] = deque()
        self._sequence = 0
        self._changed = asyncio.Condition()
        self._sending = False
        self._flushing = 0
        self._next_at = 0.0
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
            await asyncio.wait([self._task])

    def abandon(self, reason: Exception) -> None:
        """Deliver nothing more, not even what waits. `reason` is raised to whoever still emits."""
        self._failure = reason
        if self._task:
            self._task.cancel()

    async def emit(self, kind: EventType, data: dict[str, JsonValue]) -> None:
        """Hand over one event. Returns at once unless too many wait. Raises what broke the delivery."""
        event = _event(kind, data)
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._waiting) < MAX_WAITING or self._failure or self._closed)
            if self._failure:
                raise self._failure
            if self._closed:
                raise RuntimeError(f"the event {kind} came after the end of its execution")
            self._waiting.append(event)
            self._changed.notify_all()

    async def flush(self) -> None:
        """Return when everything handed over so far has been received. Raises what broke the delivery."""
        async with self._changed:
            self._flushing += 1
            self._changed.notify_all()
            try:
                await self._changed.wait_for(lambda: self._failure or not (self._waiting or self._sending))
            finally:
                self._flushing -= 1
            if self._failure:
                raise self._failure

    async def _deliver(self) -> None:
        while batch := await self._next_batch():
            began = _now()
            try:
                await self._client.report(self._execution_id, EventReport(fence=self._fence, events=batch))
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it is raised to whoever emits next
                async with self._changed:
                    self._failure = self._failure or error
                    self._sending = False
                    self._changed.notify_all()
                return
            took = _now() - began
            self._next_at = began + min(max(REPORTS_EVERY_SECONDS, 2 * took), took + LONGEST_PAUSE_SECONDS)
            async with self._changed:
                self._sending = False
                self._changed.notify_all()

    async def _next_batch(self) -> list[ReportedEvent]:
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting or self._closed)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._next_at):
                    await self._changed.wait_for(self._in_haste)
            batch: list[_Event] = []
            total = 0
            while self._waiting and len(batch) < MAX_EVENTS_A_BATCH:
                if batch and total + self._waiting[0].size > MAX_BATCH_BYTES:
                    break
                event = self._waiting.popleft()
                total += event.size
                if batch and (merged := _merged(batch[-1], event)):
                    batch[-1] = merged
                else:
                    batch.append(event)
            self._sending = bool(batch)
            self._changed.notify_all()
            return [self._numbered(event) for event in batch]

    def _in_haste(self) -> bool:
        return self._closed or self._flushing > 0 or len(self._waiting) >= MAX_EVENTS_A_BATCH

    def _numbered(self, event: _Event) -> ReportedEvent:
        self._sequence += 1
        return ReportedEvent(sequence=self._sequence, type=event.kind, data=event.data, occurred_at=event.occurred_at)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _event(kind: EventType, data: dict[str, JsonValue]) -> _Event:
    """Checked here, where the mistake was made, and not in the delivery, where it would stop everything."""
    checked = fitted(_DATA.validate_python(mended(data)), MAX_BATCH_BYTES)
    return _Event(kind, checked, size(checked), datetime.now(UTC))


def _merged(last: _Event, event: _Event) -> _Event | None:
    """Two chunks of the same message that waited together, as one; None if these aren't such."""
    if last.kind != event.kind or event.kind not in _CHUNKS:
        return None
    before, after = last.data["data"], event.data["data"]
    if not isinstance(before, dict) or not isinstance(after, dict) or before["message_id"] != after["message_id"]:
        return None
    joined: JsonValue = {**before, "content": f"{before['content']}{after['content']}"}
    return replace(last, data={"data": joined})

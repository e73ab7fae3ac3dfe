"""One connection of each API process that listens for what happens and wakes those who wait for it."""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
from psycopg.sql import SQL, Identifier
from sse_starlette.sse import AppStatus

from control_plane.db import psycopg_url
from control_plane.events.service import CHANNEL

logger = logging.getLogger(__name__)

_RECONNECT_AFTER = 1.0
"""Seconds. Followers read the table on every wake, so what happened meanwhile is late, never lost."""

_LOOK_FOR_END_EVERY = 0.25
"""Seconds."""


@dataclass(eq=False, slots=True)
class Turn:
    """A place in the row of those who wait for the same thing, of whom each notification wakes one."""

    pass_on: Callable[[], None]
    """Wake the next one instead."""

    wake: asyncio.Event = field(default_factory=asyncio.Event)


class Notifications:
    """Wakes those who wait. `await start()` before use, `await stop()` at the end.

    It listens for events of executions, and on `channels` besides.
    """

    def __init__(self, url: str, *channels: str) -> None:
        self._url = psycopg_url(url)
        self._channels = channels
        self._subscribers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._rows: defaultdict[tuple[str, str], list[Turn]] = defaultdict(list)
        self._tasks: list[asyncio.Task[None]] = []
        self.ending = False
        """Whether this process is about to end, so that nobody should wait any longer."""

    async def start(self) -> None:
        """Begin to listen, in the background."""
        self._tasks = [
            asyncio.create_task(self._listen_forever(), name="event notifications"),
            asyncio.create_task(self._watch_for_the_end(), name="end of the process"),
        ]

    async def stop(self) -> None:
        """Close the connection."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    @contextmanager
    def subscribe(self, execution_id: UUID) -> Iterator[asyncio.Event]:
        """An `asyncio.Event` that is set whenever the execution may have new events."""
        key = str(execution_id)
        wake = asyncio.Event()
        self._subscribers[key].add(wake)
        try:
            yield wake
        finally:
            self._subscribers[key].discard(wake)
            if not self._subscribers[key]:
                del self._subscribers[key]

    @contextmanager
    def take_turns(self, channel: str, subject: UUID) -> Iterator[Turn]:
        """Wait in a row for `subject` on `channel`: each notification wakes the one who has waited longest."""
        key = channel, str(subject)
        turn = Turn(pass_on=lambda: self._wake_next(*key))
        self._rows[key].append(turn)
        try:
            yield turn
        finally:
            self._rows[key].remove(turn)
            if not self._rows[key]:
                del self._rows[key]

    def _wake_next(self, channel: str, subject: str) -> None:
        for turn in self._rows.get((channel, subject), ()):
            if not turn.wake.is_set():
                turn.wake.set()
                return

    async def _listen_forever(self) -> None:
        while True:
            try:
                await self._listen()
            except psycopg.Error as error:
                logger.warning("event notifications are interrupted, reconnecting: %s", type(error).__name__)
                await asyncio.sleep(_RECONNECT_AFTER)

    async def _listen(self) -> None:
        connection: psycopg.AsyncConnection[Any]
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
            for channel in (CHANNEL, *self._channels):
                await connection.execute(SQL("LISTEN {}").format(Identifier(channel)))
            self._wake_everybody()
            async for notification in connection.notifies():
                if notification.channel == CHANNEL:
                    for wake in self._subscribers.get(notification.payload, ()):
                        wake.set()
                else:
                    self._wake_next(notification.channel, notification.payload)

    async def _watch_for_the_end(self) -> None:
        # uvicorn tells the application of its end when every request is answered, those that wait here among them. The
        # library of event streams has its ear at uvicorn's signal handler, for the same reason.
        while not AppStatus.should_exit:  # noqa: ASYNC110 - a flag of somebody else, who tells nobody
            await asyncio.sleep(_LOOK_FOR_END_EVERY)
        self.ending = True
        self._wake_everybody()

    def _wake_everybody(self) -> None:
        for wakes in self._subscribers.values():
            for wake in wakes:
                wake.set()
        for row in self._rows.values():
            for turn in row:
                turn.wake.set()

"""One connection of each API process that listens for new events and wakes those who follow them."""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg

from control_plane.db import psycopg_url
from control_plane.events.service import CHANNEL

logger = logging.getLogger(__name__)

_RECONNECT_AFTER = 1.0
"""Seconds. Followers read the table on every wake, so what happened meanwhile is late, never lost."""


class Notifications:
    """Wakes subscribers of an execution. `await start()` before use, `await stop()` at the end."""

    def __init__(self, url: str) -> None:
        self._url = psycopg_url(url)
        self._subscribers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to listen, in the background."""
        self._task = asyncio.create_task(self._listen_forever(), name="event notifications")

    async def stop(self) -> None:
        """Close the connection."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

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
            await connection.execute(f"LISTEN {CHANNEL}")
            self._wake_everybody()
            async for notification in connection.notifies():
                for wake in self._subscribers.get(notification.payload, ()):
                    wake.set()

    def _wake_everybody(self) -> None:
        for wakes in self._subscribers.values():
            for wake in wakes:
                wake.set()

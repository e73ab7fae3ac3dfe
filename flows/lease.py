"""Keeping the lease of a claim, and letting go of the work in time when it can't be kept."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self

from control_plane.client import Refused, Unreachable, WorkerClient
from control_plane.wire.executions import Claim, LeaseRenewal
from flows.origin import origin

logger = logging.getLogger(__name__)

_LAST_WORDS_SECONDS = 5.0
"""How long the end of an execution waits for a renewal under way; nothing depends on it any more."""


class LeaseLost(Exception):
    """The execution isn't ours any more, or may not be: another process or the reconciler may have taken it."""


def is_lost(refusal: Refused) -> bool:
    """Whether a refusal says that the claim doesn't count any more; its token may have died with it."""
    return refusal.code == "lease_lost" or refusal.status == 401


class Lease:
    """Renewed by a thread of its own, so that it holds even while a tool blocks the event loop.

    Use as an async context manager. `on_lost` and `on_cancel` are called in the event loop, each at most once. The
    lease counts as lost one renewal before its end, to leave time for stopping. `confirmed_at` is when the claim was
    asked for, on the clock `time.monotonic`: the server's clock may differ, and its answer may have taken long.
    """

    def __init__(
        self,
        url: str,
        claim: Claim,
        *,
        confirmed_at: float,
        on_lost: Callable[[], None],
        on_cancel: Callable[[], None],
    ) -> None:
        self.lost = False
        self.cancel_requested = False
        self._url = url
        self._claim = claim
        self._every = claim.renew_every_seconds
        self._length = claim.lease_length_seconds
        self._ends_at = confirmed_at + self._length - self._every
        self._on_lost = on_lost
        self._on_cancel = on_cancel
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self._ended = asyncio.Event()
        self._stopping = False
        self._cancel: Callable[[], object] | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        if self._cancel:
            self._cancel()
        # Not join() in another thread: tools that can't be stopped may hold all that there are.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await self._ended.wait()

    def check(self) -> None:
        """Raise `LeaseLost` if the lease doesn't hold at this very moment."""
        if self.lost or time.monotonic() >= self._ends_at:
            raise LeaseLost

    def _run(self) -> None:
        try:
            asyncio.run(self._keep())
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody renews any more
            logger.error("renewing the lease failed unexpectedly\n%s", origin(error))  # noqa: TRY400 - not its text
            self._lose()
        finally:
            self._call(self._ended.set)

    async def _keep(self) -> None:
        renewing = asyncio.create_task(self._renew())
        self._cancel = partial(_call_in, asyncio.get_running_loop(), renewing.cancel)
        if self._stopping:
            renewing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await renewing

    async def _renew(self) -> None:
        async with WorkerClient(self._url, self._claim.execution_token, patience_seconds=0) as client:
            asked_at = time.monotonic()
            while (now := time.monotonic()) < self._ends_at:
                await asyncio.sleep(max(min(asked_at + self._every, self._ends_at) - now, 0))
                asked_at = time.monotonic()
                await self._renew_once(client, asked_at)
                if self.lost:
                    return
        logger.warning("the lease could not be renewed in time and is lost")
        self._lose()

    async def _renew_once(self, client: WorkerClient, asked_at: float) -> None:
        try:
            async with asyncio.timeout(min(self._every, max(self._ends_at - asked_at, 0))):
                renewal = await client.renew(self._claim.execution_id, self._claim.fence)
        except (Unreachable, TimeoutError) as error:
            logger.warning("the lease could not be renewed yet: %s", type(error).__name__)
        except Refused as refusal:
            logger.warning("the renewal of the lease was refused: %s", refusal.code)
            # A fault of the server says nothing about the lease.
            if refusal.status < 500:
                self._lose()
        else:
            self._renewed(renewal, asked_at)

    def _renewed(self, renewal: LeaseRenewal, asked_at: float) -> None:
        self._ends_at = asked_at + (renewal.lease_seconds or self._length) - self._every
        if renewal.cancel_requested and not self.cancel_requested:
            self.cancel_requested = True
            self._call(self._on_cancel)

    def _lose(self) -> None:
        self.lost = True
        self._call(self._on_lost)

    def _call(self, callback: Callable[[], None]) -> None:
        if self._loop:
            _call_in(self._loop, callback)


def _call_in(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile, and with it what there was to call
        loop.call_soon_threadsafe(callback)

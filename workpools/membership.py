"""Being a worker: the session that a process holds, signs of life, renewal, and what the control plane asks of it."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from control_plane.client import ControlPlaneError, JoiningClient, Refused
from control_plane.wire.joining import WorkerHeartbeat, WorkerSession

logger = logging.getLogger(__name__)

_TRY_AGAIN_AFTER_SECONDS = 5.0
_FINAL = frozenset({401, 403, 404, 409})
"""Answers that say no. Anything else may be a fault that is mended while the worker goes on."""

_STATM = Path("/proc/self/statm")


class Membership:
    """Keeps a session alive from a thread of its own, whatever the process is busy with, until `leave` or its end.

    A worker that knows more about itself replaces `measure`; it is called from the thread before each heartbeat.
    `draining` is set once the control plane asks the worker to take nothing new. `on_end` is called from the thread
    when the session is over and can't be renewed; by default the process is asked to terminate.
    """

    def __init__(self, client: JoiningClient, session: WorkerSession) -> None:
        self.session = session
        self.draining = threading.Event()
        self.measure: Callable[[], WorkerHeartbeat] = Facts()
        self.on_end: Callable[[], None] = _terminate
        self._client = client
        self._heartbeat_seconds = session.settings.heartbeat_seconds
        self._renew_at = time.monotonic() + session.renew_after_seconds
        self._process = os.getpid()
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="worker session", daemon=True)

    def start(self) -> None:
        """Begin to give signs of life."""
        self._thread.start()

    def leave(self) -> None:
        """End the session, as far as the control plane can be reached. In a forked child it does nothing."""
        if os.getpid() != self._process or self._leaving.is_set():
            return
        self._leaving.set()
        try:
            self._client.leave(self.session.session_token)
        except ControlPlaneError as error:
            logger.debug("the control plane wasn't told that the worker leaves: %s", error)
        self._client.close()

    def _keep(self) -> None:
        wait = 0.0
        while not self._leaving.wait(wait):
            try:
                self._attend()
                wait = self._heartbeat_seconds
            except ControlPlaneError as error:
                if isinstance(error, Refused) and error.status in _FINAL:
                    self._end(error)
                    return
                logger.warning("%s The worker goes on and tries again.", error)
                wait = min(self._heartbeat_seconds, _TRY_AGAIN_AFTER_SECONDS)
            wait = max(0.0, min(wait, self._renew_at - time.monotonic()))

    def _attend(self) -> None:
        if time.monotonic() >= self._renew_at:
            self._renew()
        try:
            self._give_sign_of_life()
        except Refused as refusal:
            if refusal.status != 401:
                raise
            # Perhaps this machine slept for longer than the session held. What it joined with brings the token back.
            self._renew()
            self._give_sign_of_life()

    def _renew(self) -> None:
        # Set before as well: who isn't answered tries again after a while, not at once.
        self._renew_at = time.monotonic() + _TRY_AGAIN_AFTER_SECONDS
        self._renew_at = time.monotonic() + self._client.renew(self.session.session_id).renew_after_seconds

    def _give_sign_of_life(self) -> None:
        answer = self._client.heartbeat(self.session.session_token, self.measure())
        self._heartbeat_seconds = answer.heartbeat_seconds
        if answer.drain and not self.draining.is_set():
            logger.warning("The control plane asks this worker to take nothing new.")
            self.draining.set()

    def _end(self, refusal: Refused) -> None:
        if not self._leaving.is_set():
            self._leaving.set()
            logger.error("The session of this worker has ended: %s The worker stops.", refusal)
            self.on_end()


class Facts:
    """What any process can say of itself. The first answer about the CPU is since the process began."""

    def __init__(self) -> None:
        self._then = 0.0
        self._used = 0.0

    def __call__(self) -> WorkerHeartbeat:
        now, used = time.monotonic(), time.process_time()
        percent = 100 * (used - self._used) / (now - self._then) if self._then else None
        self._then, self._used = now, used
        return WorkerHeartbeat(cpu_percent=percent, memory_bytes=_resident_bytes())


def _resident_bytes() -> int | None:
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux
        return None


def _terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)

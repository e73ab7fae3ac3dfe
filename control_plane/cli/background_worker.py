"""A worker in the background of this machine: the folder that it has, its process, and how that begins and ends."""

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from control_plane.cli.failures import Failure
from control_plane.cli.process_identity import ProcessIdentity
from control_plane.cli.worker_log import WorkerLog

READY_VARIABLE = "CONTROL_PLANE_WORKER_READY_FD"
"""As in `workpools.readiness`, which may be installed in another environment."""

_READY_SECONDS = 90.0
_ENDING_SECONDS = 15.0
_LOOK_EVERY_SECONDS = 0.1
_LAST_LINES = 20
_ON_ITS_WAY_OUT = ("Leaving: ", "Finishing ", "Stopping ")
"""How lines of a worker begin that say what becomes of the executions under way."""


class State(StrEnum):
    """What a worker's process does."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker works: the control plane, and a queue by its id or by the names of its pool and its own."""

    url: str
    pool: str | None = None
    queue_id: str | None = None
    work_queue: str | None = None


class BackgroundWorker:
    """One worker by its folder, which outlives it. Reading changes nothing.

    `worker.pid` is there from the start of its process until it was stopped; a worker that ended by itself leaves it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self.log = WorkerLog(folder / "worker.log")
        self._pid = folder / "worker.pid"
        self._asked = folder / "worker.draining"
        self._description = folder / "worker.json"

    def process(self) -> ProcessIdentity | None:
        """Its process, if that runs."""
        found = ProcessIdentity.read(self._pid)
        return found if found and found.is_alive() else None

    def is_known(self) -> bool:
        """Whether it has ever been ready, or is starting."""
        return self._description.exists() or self.process() is not None

    def state(self) -> State:
        """What its process does."""
        process = self.process()
        if process is None:
            return State.STOPPED
        if ProcessIdentity.read(self._asked) == process:
            return State.DRAINING
        return State.RUNNING if self._described().get("pid") == process.pid else State.STARTING

    def since(self) -> datetime | None:
        """When its process began; of one that has ended, when it last said something."""
        running = self.process() is not None
        file = self._pid if running else self.log.path
        return datetime.fromtimestamp(file.stat().st_mtime, UTC) if file.exists() else None

    def place(self) -> Place | None:
        """Where it works or worked; None if it isn't known yet."""
        place = self._described().get("place")
        return Place(**place) if place else None

    def worker_id(self) -> str | None:
        """Its id at the control plane when it last was ready."""
        return self._described().get("worker_id")

    def start(self, command: Sequence[str], *, environment: Mapping[str, str], place: Place) -> ProcessIdentity:
        """Start it in a session of its own; return once it is ready for executions. Raises `Failure`.

        If it isn't let in, ends, or is not ready in time, nothing is left but its log.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._starting():
            if process := self.process():
                raise Failure(f"Worker {self.name} is running already (process {process.pid}). It is left alone.")
            if self.log.size():
                self.log.path.replace(self.log.path.with_name("worker.previous.log"))
            readable, writable = os.pipe()
            with os.fdopen(readable, "rb", buffering=0) as told:
                popen = self._launched(command, {**environment, READY_VARIABLE: str(writable)}, writable)
                try:
                    process = self._identified(popen)
                    worker_id = self._ready(popen, told)
                except BaseException:
                    _end(popen)
                    self._pid.unlink(missing_ok=True)
                    raise
            self._describe(pid=process.pid, worker_id=worker_id, place=asdict(place))
            return process

    def drain(self, tell: Callable[[str], None]) -> None:
        """Ask it to finish what it has and to leave; return once it has. `tell` gets what it says on its way out."""
        if process := self.process():
            self._finish(process, None, tell)
            self._forget(process)

    def stop(self, *, timeout_seconds: float, tell: Callable[[str], None]) -> None:
        """As `drain`, but only for so long: then its executions are stopped, and it itself if that doesn't help."""
        process = self.process()
        if process is None:
            return
        if not self._finish(process, timeout_seconds, tell):
            tell(f"It has not finished within {timeout_seconds:g} s: its executions are stopped now.")
            # Another signal than the first, of which a second one at the same moment would be lost.
            if not self._ends(process, _ENDING_SECONDS, tell, ask=lambda: process.send(signal.SIGINT)):
                tell(f"It has not ended {_ENDING_SECONDS:g} s later: it is killed. Its executions end as worker_lost.")
                self._kill(process)
        self._forget(process)

    def last_words(self) -> str:
        """The end of its log, and where the rest is."""
        quoted = "\n".join(f"    {line}" for line in self.log.last(_LAST_LINES))
        return f"Its log is {self.log.path}" + (f" and ends with:\n{quoted}" if quoted else " and is empty.")

    def _launched(self, command: Sequence[str], environment: Mapping[str, str], pipe: int) -> "subprocess.Popen[bytes]":
        try:
            log = os.open(self.log.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(log, "ab") as output:
                return subprocess.Popen(  # noqa: S603 - the worker's own program
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd=self.folder,
                    pass_fds=(pipe,),
                    start_new_session=True,
                )
        finally:
            os.close(pipe)

    def _identified(self, popen: "subprocess.Popen[bytes]") -> ProcessIdentity:
        process = ProcessIdentity.of(popen.pid)
        if process is None:
            raise self._ended(popen)
        process.write(self._pid)
        return process

    def _ready(self, popen: "subprocess.Popen[bytes]", told: Any) -> str:
        """The worker's id, which it tells as soon as it is ready."""
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            if select.select([told], [], [], _LOOK_EVERY_SECONDS)[0]:
                if line := told.readline():
                    return str(line.decode().strip())
                raise self._ended(popen)
            if popen.poll() is not None:
                raise self._ended(popen)
        raise Failure(
            f"Worker {self.name} was not ready after {_READY_SECONDS:.0f} s and has been stopped. {self.last_words()}"
        )

    def _ended(self, popen: "subprocess.Popen[bytes]") -> Failure:
        with contextlib.suppress(subprocess.TimeoutExpired):
            popen.wait(_ENDING_SECONDS)
        return Failure(
            f"Worker {self.name} ended with exit code {popen.poll()} before it was ready. {self.last_words()}"
        )

    def _finish(self, process: ProcessIdentity, seconds: float | None, tell: Callable[[str], None]) -> bool:
        return self._ends(process, seconds, tell, ask=lambda: self._ask_to_finish(process))

    def _ask_to_finish(self, process: ProcessIdentity) -> None:
        """Only once, whoever asks how often: the second signal stops executions."""
        with self._locked("drain.lock"):
            if ProcessIdentity.read(self._asked) != process:
                process.write(self._asked)
                process.send(signal.SIGTERM)

    def _ends(
        self,
        process: ProcessIdentity,
        seconds: float | None,
        tell: Callable[[str], None],
        *,
        ask: Callable[[], None],
    ) -> bool:
        """Ask for the end and wait; whether it came in time."""
        position = self.log.size()
        deadline = None if seconds is None else time.monotonic() + seconds
        ask()
        while True:
            alive = process.is_alive()
            lines, position = self.log.since(position)
            for line in lines:
                if line.startswith(_ON_ITS_WAY_OUT):
                    tell(line)
            if not alive:
                return True
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(_LOOK_EVERY_SECONDS)

    def _kill(self, process: ProcessIdentity) -> None:
        if process.is_alive():
            os.killpg(process.pid, signal.SIGKILL)
        while process.is_alive():
            time.sleep(_LOOK_EVERY_SECONDS)

    def _forget(self, process: ProcessIdentity) -> None:
        """Remove the pid file of a process that has ended, unless it is another one's by now."""
        with contextlib.suppress(Failure), self._starting():  # a start under way sees to it itself
            if ProcessIdentity.read(self._pid) == process:
                self._pid.unlink()
                self._asked.unlink(missing_ok=True)

    @contextmanager
    def _starting(self) -> Iterator[None]:
        try:
            with self._locked("start.lock", wait=False):
                yield
        except BlockingIOError:
            raise Failure(f"Worker {self.name} is being started by another command already.") from None

    @contextmanager
    def _locked(self, name: str, *, wait: bool = True) -> Iterator[None]:
        with (self.folder / name).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            yield

    def _describe(self, **description: Any) -> None:
        draft = self._description.with_suffix(".new")
        draft.write_text(json.dumps(description, indent=2), encoding="utf-8")
        draft.replace(self._description)

    def _described(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self._description.read_text(encoding="utf-8"))
            return found
        except (FileNotFoundError, ValueError):
            return {}


def _end(popen: "subprocess.Popen[bytes]") -> None:
    """End a process that was started just now: ask, wait, then kill it with what it has started."""
    if popen.poll() is None:
        popen.terminate()
        try:
            popen.wait(_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(popen.pid, signal.SIGKILL)
            popen.wait()

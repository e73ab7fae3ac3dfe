"""The processes of executions, as the worker sees them: some ready, some at work, each used once."""

import asyncio
import contextlib
import fcntl
import itertools
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from workpools.assignment import Assignment
from workpools.settings import WorkerSettings

logger = logging.getLogger(__name__)

_KEPT = frozenset(
    {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONPATH", "VIRTUAL_ENV"}
    | {f"{scheme}_proxy" for scheme in ("http", "https", "all", "no")}
    | {f"{scheme}_PROXY" for scheme in ("HTTP", "HTTPS", "ALL", "NO")}
)
_LONGEST_OUTPUT_LINE = 65536
_TRY_AGAIN_SECONDS = 5.0
_LAST_SECONDS = 5.0
_PREFIX = "control-plane-worker-"


class ForkServerGone(Exception):
    """The process from which others are forked has ended, and all of them with it."""


def environment(worker: Mapping[str, str], settings: WorkerSettings) -> dict[str, str]:
    """What of the worker's environment the processes of executions get. No credential is among it."""
    prefect = {
        name: value
        for name, value in worker.items()
        if name.startswith("PREFECT_")
        and not name.startswith("PREFECT_PLUGINS_")
        and not any(word in name for word in ("KEY", "AUTH", "PASSWORD", "SECRET", "TOKEN", "HEADERS", "CONNECTION"))
    }
    ours = {name: value for name, value in worker.items() if name.startswith("CONTROL_PLANE_WORKER_")}
    named = {name: worker[name] for name in (_KEPT | set(settings.pass_environment)) & worker.keys()}
    return (
        {"PREFECT_LOGGING_EXTRA_LOGGERS": "flows,toolsets,policies"}
        | named
        | prefect
        | ours
        | {
            "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",
            "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
            "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
            "DO_NOT_TRACK": "1",
            "PYTHONUNBUFFERED": "1",
        }
    )


class Child:
    """One process. It is ready from the beginning, carries out one assignment at most, and is gone."""

    def __init__(self, number: int, folder: Path, control: socket.socket) -> None:
        self.number = number
        self.folder = folder
        self.pid: int | None = None
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """How it ended: its exit code, or minus the signal that killed it. Raises `ForkServerGone`."""
        self.heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when everything that it has printed is in the worker's log."""
        self.spoken = asyncio.Event()
        """Set when it has printed something."""
        self.title = f"child {number}"
        self._control = control

    def assign(self, assignment: Assignment) -> None:
        """Hand it its execution."""
        self.title = str(assignment.claim.execution_id)
        line = assignment.model_dump_json().encode() + b"\n"
        self._control.settimeout(_LAST_SECONDS)
        self._control.sendall(line)
        self.dismiss()

    def dismiss(self) -> None:
        """Say nothing more to it. Without an assignment it ends."""
        self._control.close()


class Children:
    """Keeps `ready` processes waiting. Use as an async context manager: leaving it kills all there are.

    `program` names the module that they carry out, see `workpools.child.Program`. The server that forks them is started
    anew when it has died.
    """

    def __init__(self, program: str, *, ready: int, environment: Mapping[str, str]) -> None:
        self._program = program
        self._number_ready = ready
        self._environment = environment
        self._numbers = itertools.count(1)
        self._children: dict[int, Child] = {}
        self._waiting: asyncio.Queue[Child] = asyncio.Queue()
        self._server: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None
        self._unread = b""
        self._root: Path | None = None
        self._lock = -1
        self._tasks: set[asyncio.Task[Any]] = set()
        self._can_fork = False
        self.lost = asyncio.Event()
        """Set when the server has died by itself for the first time."""
        self.ready = asyncio.Event()
        """Set from when there were processes for the first time."""
        self._closed = False

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(_sweep)
        # Executions run as other users and have to pass through it, but can't list it.
        self._root = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._root.chmod(0o711)
        self._lock = os.open(self._root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._start_server()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._closed = True
        self._lose_server()
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=_LAST_SECONDS)
            for task in left:  # something that a child has started outlives it, and may print
                task.cancel()
        if self._root:
            await asyncio.to_thread(shutil.rmtree, self._root, ignore_errors=True)
        os.close(self._lock)

    async def take(self, *, beyond: bool = False) -> Child:
        """A process that is ready; another one takes its place when it has ended, or at once if it is `beyond`."""
        if beyond and self._can_fork and self._requests is not None:
            self._fork()
        while True:
            child = await self._waiting.get()
            if not child.ended.done():
                return child

    def kill(self, child: Child) -> None:
        """End a process and everything it has started."""
        with contextlib.suppress(OSError):
            self._send({"kill": child.number})

    def _start_server(self) -> None:
        if self._closed:
            return
        ours, theirs = socket.socketpair()
        self._server = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-P", "-m", "workpools.fork_server", self._program],
            stdin=theirs.fileno(),
            env=dict(self._environment),
            cwd=self._root,
            start_new_session=True,
        )
        theirs.close()
        ours.settimeout(0)
        self._requests, self._unread, self._can_fork = ours, b"", False
        asyncio.get_running_loop().add_reader(ours, self._hear)

    def _hear(self) -> None:
        if self._requests is None:
            return
        try:
            received = self._requests.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            # One that didn't get as far as forking will hardly do better a moment later.
            wait = 0.0 if self._can_fork else _TRY_AGAIN_SECONDS
            self._lose_server()
            self.lost.set()
            logger.error("the process from which executions are forked has ended; starting another in %.0f s", wait)
            asyncio.get_running_loop().call_later(wait, self._start_server)
            return
        *lines, self._unread = (self._unread + received).split(b"\n")
        for line in lines:
            self._take_down(json.loads(line))

    def _take_down(self, answer: dict[str, Any]) -> None:
        if "ready" in answer:
            self._can_fork = True
            for _ in range(self._number_ready):
                self._fork()
        elif "forked" in answer:
            child = self._children[answer["forked"]]
            child.pid = answer["pid"]
            self._waiting.put_nowait(child)
            self.ready.set()
        elif "ended" in answer:
            self._end(self._children.pop(answer["ended"]), answer["code"])
            if len(self._children) < self._number_ready:
                self._fork()

    def _fork(self) -> None:
        if self._root is None:
            return
        number = next(self._numbers)
        folder = self._root / str(number)
        folder.mkdir(mode=0o700)
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        child = Child(number, folder, ours)
        self._children[number] = child
        self._keep(asyncio.create_task(_forward(child, reading)))
        try:
            self._send({"fork": number, "folder": str(folder)}, theirs.fileno(), writing)
        finally:
            theirs.close()
            os.close(writing)

    def _send(self, request: dict[str, Any], *descriptors: int) -> None:
        if self._requests is not None:
            socket.send_fds(self._requests, [json.dumps(request).encode() + b"\n"], descriptors)

    def _lose_server(self) -> None:
        """The server is gone or has to go: its children die with it."""
        if self._requests is not None:
            asyncio.get_running_loop().remove_reader(self._requests)
            self._requests.close()
            self._requests = None
        if self._server is not None:
            # It kills its children and ends when it finds the socket closed; without children it isn't waited for.
            if self._can_fork:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._server.wait(_LAST_SECONDS)
            self._server.kill()
            self._server.wait()
        for child in [self._children.pop(number) for number in list(self._children)]:
            self._end(child, None)

    def _end(self, child: Child, code: int | None) -> None:
        """Settle how a child ended; None: together with the server."""
        child.dismiss()
        if code is None:
            child.ended.set_exception(ForkServerGone())
            child.ended.exception()  # marks it as seen: nobody waits for a child that had nothing to do
        else:
            child.ended.set_result(code)
        self._keep(asyncio.create_task(asyncio.to_thread(shutil.rmtree, child.folder, ignore_errors=True)))

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _forward(child: Child, descriptor: int) -> None:
    """What a process prints, line by line, into the worker's log."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_LONGEST_OUTPUT_LINE)
    pipe = os.fdopen(descriptor, "rb", 0)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        while True:
            try:
                line = await reader.readuntil(b"\n")
            except asyncio.IncompleteReadError as end:
                line = end.partial
                if not line:
                    return
            except asyncio.LimitOverrunError as long:
                line = await reader.readexactly(long.consumed)
            print(f"{child.title} | {line.decode(errors='replace').rstrip()}", flush=True)  # noqa: T201 - its log
            child.spoken.set()
    finally:
        transport.close()
        if not child.heard.done():
            child.heard.set_result(None)


def _sweep() -> None:
    """Remove what workers have left that were killed."""
    for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/lock"):
        if lock.lstat().st_uid != os.getuid():
            continue
        with contextlib.suppress(OSError):
            held = os.open(lock, os.O_RDWR)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
            finally:
                os.close(held)

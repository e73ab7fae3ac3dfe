"""The process from which those of executions are forked: `python -P -m workpools.fork_server PROGRAM`.

It is started with a clean environment before any credential is near it, imports PROGRAM and what that needs, and then
only forks and waits. So nothing that a child inherits is secret, and nothing is copied while another thread holds a
lock: there is no other thread.

The worker talks to it over the socket that is its standard input, in lines of JSON. `{"fork": N, "folder": …}` comes
with two file descriptors, the child's ends of its control socket and of the pipe for its output. `{"kill": N}` ends a
child with everything it has started. The answers are `{"ready": true}` once, then `{"forked": N, "pid": …}` and
`{"ended": N, "code": …}` (negative: the signal). When the worker is gone, so is the socket, and all children are
killed.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from workpools import child
from workpools.child import Program
from workpools.confinement import Users, hide_memory
from workpools.settings import WorkerSettings

_LONGEST_LINE = 65536


@dataclass(frozen=True, slots=True)
class _Child:
    number: int
    user: int | None


class ForkServer:
    """Forks on request until the other end of `requests` is closed."""

    def __init__(self, requests: socket.socket, program: Program, settings: WorkerSettings) -> None:
        self._requests = requests
        self._program = program
        self._settings = settings
        self._users = Users()
        self._children: dict[int, _Child] = {}
        self._unread = b""

    def serve(self) -> None:
        """Return when the worker is gone and every child has been killed."""
        woken, waker = os.pipe()
        os.set_blocking(waker, False)
        os.set_blocking(woken, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
        self._answer(ready=True)
        try:
            while True:
                readable, _, _ = select.select([self._requests.fileno(), woken], [], [])
                if woken in readable:
                    with contextlib.suppress(BlockingIOError):
                        os.read(woken, 4096)
                    self._reap()
                if self._requests.fileno() in readable and not self._read():
                    return
        finally:
            for pid in self._children:
                _kill_group(pid)

    def _read(self) -> bool:
        received, descriptors, _, _ = socket.recv_fds(self._requests, _LONGEST_LINE, 2)
        if not received:
            return False
        *lines, self._unread = (self._unread + received).split(b"\n")
        for line in lines:
            self._do(json.loads(line), descriptors)
        return True

    def _do(self, request: dict[str, Any], descriptors: list[int]) -> None:
        if "fork" in request:
            self._fork(request["fork"], request["folder"], descriptors)
        elif "kill" in request:
            for pid in [pid for pid, one in self._children.items() if one.number == request["kill"]]:
                _kill_group(pid)

    def _fork(self, number: int, folder: str, descriptors: list[int]) -> None:
        user = self._users.take()
        if user is not None:
            os.chown(folder, user, user)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            control, output = descriptors
            child.main(
                self._program,
                self._settings,
                parent=parent,
                user=user,
                folder=folder,
                control=control,
                output=output,
            )
        for descriptor in descriptors:
            os.close(descriptor)
        self._children[pid] = _Child(number, user)
        self._answer(forked=number, pid=pid)

    def _reap(self) -> None:
        for pid in _ended():
            # While it isn't waited for, no other process can have its id.
            _kill_group(pid)
            _, status = os.waitpid(pid, 0)
            if one := self._children.pop(pid, None):
                if one.user is not None:
                    _kill_all_of(one.user)
                    self._users.give_back(one.user)
                self._answer(ended=one.number, code=os.waitstatus_to_exitcode(status))

    def _answer(self, **answer: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._requests.sendall(json.dumps(answer).encode() + b"\n")


def _ended() -> Iterator[int]:
    with contextlib.suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            yield ended.si_pid


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _kill_all_of(user: int) -> None:
    """Kill what a child may have left behind outside of its group: as that user, so that nothing else can be hit."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            os.kill(-1, signal.SIGKILL)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def main() -> None:
    """Import, then serve."""
    hide_memory()
    requests = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    program: Program = importlib.import_module(sys.argv[1])
    program.prepare()
    if threading.active_count() > 1:
        raise RuntimeError(f"an import started a thread: {threading.enumerate()}")
    # What is there stays as it is and shared; a collection would write to all of its pages.
    gc.collect()
    gc.freeze()
    ForkServer(requests, program, WorkerSettings()).serve()


if __name__ == "__main__":
    main()

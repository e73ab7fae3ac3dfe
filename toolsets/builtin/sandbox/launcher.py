"""The process between a worker and a program that it runs: `python -I -S launcher.py SPECIFICATION`.

It gives the program its limits before the first instruction of it runs, watches over all of its processes together, and
ends them all when it is told to, or when the worker has gone. It imports the standard library only, and little of that:
every program waits for it.
"""

# pathlib would take a good part of the time in which this starts:
# ruff: noqa: PTH115, PTH123, PTH208

import contextlib
import json
import os
import resource
import select
import signal
import sys
from typing import Any, NoReturn

PREFIX = "PROGRAM_"
"""What precedes the names of the program's environment variables in ours."""

_TICK_SECONDS = 0.1
_KILLED, _TERMINATED = 128 + signal.SIGKILL, 128 + signal.SIGTERM
_NOT_FOUND = 127


def main() -> NoReturn:
    """Run the program and end as it ended."""
    specification = json.loads(sys.argv[1])
    woken = _wake_up_on(signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    environment = {name[len(PREFIX) :]: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    started = _Confined if "bubblewrap" in specification else _Loose
    program = started(specification, environment)
    sys.exit(_supervise(program, specification, woken))


class _Stop:
    """Whether we were told to end."""

    asked = False


def _wake_up_on(*signals: signal.Signals) -> int:
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    for number in signals:
        signal.signal(number, _noted)
    return woken


def _noted(number: int, _frame: object) -> None:
    if number != signal.SIGCHLD:
        _Stop.asked = True


def _supervise(program: "_Confined | _Loose", specification: dict[str, Any], woken: int) -> int:
    while True:
        code = program.ended()
        if code is not None:
            return code
        if _Stop.asked or os.getppid() != specification["parent"]:
            program.kill()
            return _TERMINATED
        if excess := program.excess():
            program.kill()
            os.write(2, f"\nsandbox: ended, because it took {excess}\n".encode())
            return _KILLED
        select.select([woken], [], [], _TICK_SECONDS)
        with contextlib.suppress(BlockingIOError):
            os.read(woken, 4096)


class _Confined:
    """A program in bubblewrap. Its first process has everything else below it and takes all with it."""

    def __init__(self, specification: dict[str, Any], environment: dict[str, str]) -> None:
        self._limits = specification["limits"]
        self._first: int | None = None
        self._first_pid = 0
        informed, inform = os.pipe()
        blocked, unblock = os.pipe()
        arguments = [*specification["arguments"], "--clearenv"]
        for name, value in environment.items():
            arguments += ["--setenv", name, value]
        arguments += ["--info-fd", str(inform), "--block-fd", str(blocked)]
        given = [inform, blocked]
        if specification["filter"]:
            given.append(_file(bytes.fromhex(specification["filter"])))
            arguments += ["--seccomp", str(given[-1])]
        # Not on the command line, which every user of the machine can read.
        told = _file(b"".join(argument.encode(errors="surrogateescape") + b"\0" for argument in arguments))
        given.append(told)
        self._pid = os.fork()
        if self._pid == 0:
            for descriptor in given:
                os.set_inheritable(descriptor, True)  # noqa: FBT003 - it takes no keyword
            _become([specification["bubblewrap"], "--args", str(told), "--", *specification["program"]], {})
        for descriptor in given:
            os.close(descriptor)
        self._release(informed, unblock)

    def _release(self, informed: int, unblock: int) -> None:
        """Bubblewrap waits with everything set up; give its first process the limits and let it go on."""
        text = b""
        while not text.rstrip().endswith(b"}"):
            part = os.read(informed, 4096)
            if not part:
                return  # it failed and has said why
            text += part
        self._first_pid = json.loads(text)["child-pid"]
        try:
            self._first = os.pidfd_open(self._first_pid)
            for kind, most in _limits(self._limits).items():
                _, hard = resource.prlimit(self._first_pid, kind)
                bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
                resource.prlimit(self._first_pid, kind, (bound, bound))
        except ProcessLookupError:
            return
        os.write(unblock, b"1")
        os.close(unblock)
        os.close(informed)

    def ended(self) -> int | None:
        return _exit_code(self._pid)

    def kill(self) -> None:
        if self._first is None:
            os.kill(self._pid, signal.SIGKILL)
        else:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._first, signal.SIGKILL)
        # The kernel has ended all of them when the first can be waited for, which bubblewrap does.
        os.waitpid(self._pid, 0)

    def excess(self) -> str:
        """What all processes together have too much of.

        A limit of one process doesn't know of the others, and a limit of processes doesn't hold for root.
        """
        tasks, memory = 0, 0
        inside = f"/proc/{self._first_pid}/root/proc"
        try:
            for name in _processes(inside):
                more_tasks, more_memory = _taken(f"{inside}/{name}")
                tasks += more_tasks
                memory += more_memory
        except OSError:
            return ""
        # Bubblewrap's own process is one of them.
        if tasks - 1 > self._limits["processes"]:
            return f"more than {self._limits['processes']} processes"
        if memory > self._limits["memory"]:
            return f"more than {self._limits['memory']} bytes of memory"
        return ""


class _Loose:
    """A program without a sandbox: limits for each of its processes, and its process group."""

    def __init__(self, specification: dict[str, Any], environment: dict[str, str]) -> None:
        self._pid = os.fork()
        if self._pid == 0:
            os.setsid()
            for kind, most in _limits(specification["limits"]).items():
                # Counts all processes of the user, so it says nothing about this program.
                if kind == resource.RLIMIT_NPROC:
                    continue
                _, hard = resource.getrlimit(kind)
                bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
                resource.setrlimit(kind, (bound, bound))
            try:
                os.chdir(specification["folder"])
            except OSError as error:
                os.write(2, f"{error}\n".encode())
                os._exit(_NOT_FOUND)
            _become(specification["program"], environment)

    def ended(self) -> int | None:
        code = _exit_code(self._pid)
        if code is not None:
            _kill_group(self._pid)
        return code

    def kill(self) -> None:
        _kill_group(self._pid)
        os.waitpid(self._pid, 0)

    def excess(self) -> str:
        return ""


def _file(content: bytes) -> int:
    """A file in memory, open at its beginning."""
    made = os.memfd_create("told")
    os.write(made, content)
    os.lseek(made, 0, os.SEEK_SET)
    return made


def _become(program: list[str], environment: dict[str, str]) -> NoReturn:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(program[0], program, environment)  # noqa: S606 - what we are for
    except OSError as error:
        os.write(2, f"{program[0]}: {os.strerror(error.errno or 0)}\n".encode())
    os._exit(_NOT_FOUND)


def _limits(limits: dict[str, int]) -> dict[int, int]:
    found = {
        # Data rather than address space: of the latter JavaScript's engine, for one, reserves more than a machine has.
        resource.RLIMIT_DATA: limits["memory"],
        resource.RLIMIT_FSIZE: limits["file_size"],
        resource.RLIMIT_CPU: limits["cpu_seconds"],
        resource.RLIMIT_NOFILE: limits["open_files"],
        resource.RLIMIT_CORE: 0,
    }
    if _kernel() >= (5, 14):
        # Older ones count what the user runs outside of the sandbox, too.
        found[resource.RLIMIT_NPROC] = limits["processes"]
    return found


def _kernel() -> tuple[int, ...]:
    return tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2] if part.isdigit())


def _processes(inside: str) -> list[str]:
    try:
        os.readlink(f"{inside}/self")
    except FileNotFoundError:
        return [name for name in os.listdir(inside) if name.isdigit()]
    # We are one of these ourselves, so they are still the machine's: bubblewrap sets up its own in a moment.
    return []


def _taken(process: str) -> tuple[int, int]:
    """Tasks and bytes of memory that are its own."""
    try:
        with open(f"{process}/stat", "rb") as file:
            tasks = int(file.read().rpartition(b")")[2].split()[17])
        with open(f"{process}/statm", "rb") as file:
            _, resident, shared = file.read().split()[:3]
    except OSError:
        return 0, 0  # it has ended
    return tasks, (int(resident) - int(shared)) * resource.getpagesize()


def _exit_code(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    if not ended:
        return None
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


if __name__ == "__main__":
    main()

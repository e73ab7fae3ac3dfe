"""Starting, watching and stopping the processes of the embedded stack. Each has a log file and dies with us."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx

DEFAULT_API_PORT = 7777
LAUNCHER = Path(__file__).with_name("launch.py")
_GRACE_SECONDS = 15.0
_LAST_LINES = 15
_NEXT_PORTS = 20


class ProcessFailed(Exception):
    """A process of the stack did not start, or ended. `str()` says which, and where its log is."""


@dataclass
class Process:
    """One program, run with exactly this environment. `stop_signal` is what it takes as a request to end.

    Start it from the main thread: it dies with the thread that started it.
    """

    name: str
    command: Sequence[str | Path]
    log: Path
    environment: Mapping[str, str] = field(repr=False)
    folder: Path
    stop_signal: signal.Signals = signal.SIGTERM
    user: int | None = None
    popen: "subprocess.Popen[bytes]" = field(init=False, repr=False)

    def start(self) -> Self:
        """Start the program; its output goes to the end of the log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self.popen = subprocess.Popen(  # noqa: S603 - the stack's own programs
                [*launch_as(self.user, death_signal=self.stop_signal), *map(str, self.command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(self.environment),
                cwd=self.folder,
                start_new_session=True,
            )
        return self

    def restart(self) -> None:
        """Stop the program, if it runs, and start it again as it was."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """End the program and everything it has started, without asking."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()

    def check(self) -> None:
        """Raise `ProcessFailed` if the program has ended."""
        if (code := self.popen.poll()) is not None:
            raise ProcessFailed(f"{self.name} ended with exit code {code}. {self.last_words()}")

    def listens_on(self, port: int) -> bool:
        """Whether the program, or one that it has started, is who listens on the port of the loopback interface.

        Nothing secret may be sent to a port before that is known. Only Linux tells; elsewhere this is always true.
        """
        if sys.platform != "linux":
            return True
        listening = _listening_sockets(port)
        return any(listening & _open_sockets(pid) for pid in _group(self.popen.pid))

    def wait_until(self, ready: Callable[[], bool], *, seconds: float) -> None:
        """Return when `ready()` is true. Raises `ProcessFailed` if the program ends or `seconds` pass before."""
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise ProcessFailed(f"{self.name} was not ready after {seconds:.0f} s. {self.last_words()}")
            time.sleep(0.05)

    def last_words(self) -> str:
        """The end of the log, and where the rest is."""
        lines = self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        quoted = "\n".join(f"    {line}" for line in lines)
        return f"Its log is {self.log}" + (f" and ends with:\n{quoted}" if lines else " and is empty.")

    def stop(self) -> None:
        """End the program: ask, wait, then kill everything that it has started."""
        if self.popen.poll() is None:
            self.popen.send_signal(self.stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(_GRACE_SECONDS)
        self.kill()


def _listening_sockets(port: int) -> set[str]:
    """The sockets on which somebody listens on a port, as `/proc/PID/fd` names them."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    # local address and port, state (0A: listening), inode
    return {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}


def _group(leader: int) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(ProcessLookupError):
                if os.getpgid(int(entry.name)) == leader:
                    yield int(entry.name)


def _open_sockets(pid: int) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):  # it has ended, or files of it were closed meanwhile
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(str(descriptor.readlink()))
    return found


def launch_as(user: int | None, *, death_signal: signal.Signals) -> list[str]:
    """What to write before a command so that it runs as `user` (None: as we are) and ends when we do."""
    as_user = "-" if user is None else str(user)
    return [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), death_signal.name, as_user]


def free_port(preferred: int = 0) -> int:
    """The preferred TCP port on the loopback interface if it is free, else one of the next, else any (0: any).

    The port is ours from now on as far as other stacks are concerned, although nobody listens on it yet.
    """
    candidates = range(preferred, preferred + _NEXT_PORTS) if preferred else ()
    for port in candidates:
        if _claim(port) and is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


def _claim(port: int) -> bool:
    """Let no other stack of this machine choose the port while ours is still on its way to listening on it.

    A name in the abstract namespace is no file, and is gone with this process. Elsewhere than on Linux two stacks that
    start in the same seconds may still choose the same port; the second one then says so and ends.
    """
    if sys.platform != "linux":
        return True
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0agent-control-plane:{port}")
    except OSError:
        claim.close()
        return False
    claim.detach()  # the operating system closes it at the end of this process, and nothing before
    return True


def is_free(port: int) -> bool:
    """Whether nobody listens on this TCP port of the loopback interface."""
    with socket.socket() as probe:
        # As servers do it, so that a port is not taken to be busy because of connections that have just ended.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def answers(url: str, *, headers: Mapping[str, str] | None = None) -> bool:
    """Whether a GET there is answered with 200."""
    try:
        return httpx.get(url, headers=dict(headers or {}), timeout=2.0, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def proxy_environment() -> dict[str, str]:
    """The proxies that a person has set, for processes that call the world; never for what is on this machine."""
    names = [f"{scheme}_proxy" for scheme in ("http", "https", "all")]
    found = {name: os.environ[name] for lower in names for name in (lower, lower.upper()) if name in os.environ}
    excepted = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    return found | {"no_proxy": ",".join(filter(None, (excepted, "127.0.0.1,localhost")))} if found else {}


def clean_environment(**more: str) -> dict[str, str]:
    """What a process of the stack inherits: where programs and homes are, and nothing that could steer it."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "SYSTEMROOT")
    return {name: os.environ[name] for name in kept if name in os.environ} | more

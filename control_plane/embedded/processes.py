"""Starting, watching and stopping the processes of the embedded stack. Each has a log file and dies with us."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

LAUNCHER = Path(__file__).with_name("launch.py")
_GRACE_SECONDS = 15.0
_LAST_LINES = 15


class ProcessFailed(Exception):
    """A process of the stack did not start, or ended. `str()` says which, and where its log is."""


@dataclass
class Process:
    """One running program. `stop_signal` is what it takes as a request to end."""

    name: str
    popen: "subprocess.Popen[bytes]"
    log: Path
    stop_signal: signal.Signals

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        environment: Mapping[str, str],
        folder: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
        user: int | None = None,
    ) -> "Process":
        """Start a program with exactly this environment. Call it from the main thread: the program dies with it."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            popen = subprocess.Popen(  # noqa: S603 - the stack's own programs
                [*launch_as(user, death_signal=stop_signal), *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=folder,
                start_new_session=True,
            )
        return cls(name, popen, log, stop_signal)

    def check(self) -> None:
        """Raise `ProcessFailed` if the program has ended."""
        if (code := self.popen.poll()) is not None:
            raise ProcessFailed(f"{self.name} ended with exit code {code}. {self.last_words()}")

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
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()


def launch_as(user: int | None, *, death_signal: signal.Signals) -> list[str]:
    """What to write before a command so that it runs as `user` (None: as we are) and ends when we do."""
    return [sys.executable, "-I", "-S", str(LAUNCHER), death_signal.name, "-" if user is None else str(user)]


def free_port(*preferred: int) -> int:
    """The first of the preferred TCP ports on the loopback interface that is free, or any other."""
    for port in (*preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise ProcessFailed("There is no free TCP port on 127.0.0.1.")


def answers(url: str, *, headers: Mapping[str, str] | None = None) -> bool:
    """Whether a GET there is answered with 200."""
    try:
        return httpx.get(url, headers=dict(headers or {}), timeout=2.0, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def clean_environment(**more: str) -> dict[str, str]:
    """What a process of the stack inherits: where programs and homes are, and nothing that could steer it."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "SYSTEMROOT")
    return {name: os.environ[name] for name in kept if name in os.environ} | more

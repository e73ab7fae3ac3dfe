"""Which process a process id means. The system gives an id to another process once the one that had it is gone."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STATE, _START_TIME = 0, 19
"""Places in `/proc/PID/stat`, counted from behind the name of the program."""


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process and no later one of the same id. `started` says when it began, in the system's own words."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The process that has this id now; None if there is none, or only what is left of one that has ended."""
        started = _started_on_linux(pid) if sys.platform == "linux" else started_by_ps(pid)
        return None if started is None else cls(pid, started)

    @classmethod
    def read(cls, file: Path) -> Self | None:
        """What `written` wrote; None if the file isn't there or holds something else."""
        try:
            pid, started = file.read_text(encoding="utf-8").splitlines()
            return cls(int(pid), started)
        except (FileNotFoundError, ValueError):
            return None

    def write(self, file: Path) -> None:
        """Make it a pid file: the id in its first line, as other programs read it, and the start in its second."""
        draft = file.with_name(f"{file.name}.new")
        draft.write_text(f"{self.pid}\n{self.started}\n", encoding="utf-8")
        draft.replace(file)

    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        return ProcessIdentity.of(self.pid) == self

    def send(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.is_alive():
            os.kill(self.pid, number)


def started_by_ps(pid: int) -> str | None:
    """When a process began, to the second, on any Unix."""
    answer = subprocess.run(  # noqa: S603 - a fixed program and a number
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)],
        env={"LC_ALL": "C", "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=False,
    )
    state, _, started = answer.stdout.strip().partition(" ")
    return started.strip() if started and not state.startswith("Z") else None


def _started_on_linux(pid: int) -> str | None:
    """The clock tick in which it began, and in which run of the machine: two in a row may give the same to two."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[_STATE] in {"Z", "X"}:
        return None
    return f"{fields[_START_TIME]} {_BOOT_ID.read_text(encoding='utf-8').strip()}"

"""The process of one execution: it gives up what it doesn't need, waits for its assignment, carries it out, ends."""

import contextlib
import fcntl
import os
import signal
import socket
import sys
import tempfile
import traceback
from typing import NoReturn, Protocol

from workpools import confinement
from workpools.assignment import Assignment
from workpools.settings import WorkerSettings

_CONTROL = 3


class Program(Protocol):
    """What a child carries out: a module with these functions. See `workpools.engine`."""

    def prepare(self) -> None:
        """What every child needs and none has to do by itself: called once, in the process that is forked."""

    def warm_up(self) -> None:
        """What each has to do for itself, and can do before it has an assignment."""

    def carry_out(self, assignment: Assignment) -> int:
        """Do it; the exit code. 0: whoever has to know of its end does."""


def main(
    program: Program,
    settings: WorkerSettings,
    *,
    parent: int,
    user: int | None,
    folder: str,
    control: int,
    output: int,
) -> NoReturn:
    """Never return into the process that was forked."""
    code = 1
    try:
        _keep(control, output)
        _enter(folder)
        confinement.limit(memory=settings.memory, open_files=settings.open_files)
        if user is not None:
            confinement.become(user)
        confinement.hide_memory()
        confinement.die_with(parent)
        confinement.give_up_privileges()
        code = _serve(program)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - whatever it is, it ends here
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        # Nothing that the parent had registered for its own end may run here.
        os._exit(code)


def _keep(control: int, output: int) -> None:
    """Close every file but the two that are this child's own."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    control, output = (fcntl.fcntl(one, fcntl.F_DUPFD, 16) for one in (control, output))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(control, _CONTROL, inheritable=False)
    os.closerange(_CONTROL + 1, os.sysconf("SC_OPEN_MAX"))
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - as long as the process lives


def _enter(folder: str) -> None:
    os.chdir(folder)
    # To look up a name like these in the home of somebody else would be an error, and to write there a leak.
    os.environ.update(HOME=folder, TMPDIR=folder, PREFECT_HOME=f"{folder}/.prefect")
    tempfile.tempdir = None


def _serve(program: Program) -> int:
    with socket.socket(fileno=_CONTROL) as control, control.makefile("rb") as lines:
        program.warm_up()
        line = lines.readline()
    if not line:
        return 0
    return program.carry_out(Assignment.model_validate_json(line))

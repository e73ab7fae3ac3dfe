"""What children carry out in these tests, instead of a flow: the assignment's flow run says what, as a number."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID

from workpools.assignment import Assignment

ENVIRONMENT, SPY, SLEEP, LEAVE_BEHIND, LIMITS, FAIL, WRITE = (UUID(int=number) for number in range(1, 8))


def prepare() -> None:
    return


def warm_up() -> None:
    return


def carry_out(assignment: Assignment) -> int:
    match assignment.flow_run_id:
        case one if one == ENVIRONMENT:
            tell({"environment": dict(os.environ), "initial": Path("/proc/self/environ").read_bytes().decode()})
        case one if one == SPY:
            tell([refusal(pid, name) for pid in assignment.control_plane_url.split() for name in ("environ", "mem")])
        case one if one == SLEEP:
            tell("asleep")
            time.sleep(300)
        case one if one == LEAVE_BEHIND:
            tell(subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(300)"]).pid)
        case one if one == LIMITS:
            kinds = (resource.RLIMIT_DATA, resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)
            tell(
                [
                    [resource.getrlimit(kind) for kind in kinds],
                    sorted(int(one.name) for one in Path("/proc/self/fd").iterdir())[:-1],
                ]
            )
        case one if one == WRITE:
            Path("notes.txt").write_text("kept nowhere")
            tell([str(Path.cwd()), tempfile.gettempdir(), os.environ["HOME"]])
        case _:
            sys.stderr.write("this goes wrong\n")
            return 3
    return 0


def refusal(pid: str, name: str) -> str:
    try:
        with Path(f"/proc/{pid}/{name}").open("rb") as file:
            file.read(1)
    except OSError as error:
        return type(error).__name__
    return f"{name} of {pid} could be read"


def tell(what: object) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()

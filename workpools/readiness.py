"""Telling whoever started this worker, and waits for it, that executions can come.

Who wants to be told opens a pipe, and names the number of its writing end in the environment of `control-plane-worker`.
One line comes, with the worker's id. If the pipe is closed without one, the worker has ended.
"""

import os

VARIABLE = "CONTROL_PLANE_WORKER_READY_FD"

_pipes: list[int] = []


def keep_pipe() -> None:
    """Take the pipe out of the environment, if there is one, so that no other process has or finds it."""
    number = os.environ.pop(VARIABLE, "")
    if number.isdecimal():
        os.set_inheritable(int(number), False)  # noqa: FBT003 - as Python has it
        _pipes.append(int(number))


def tell(worker_id: str) -> None:
    """Say that this worker is ready, once, if anybody waits for it."""
    while _pipes:
        with os.fdopen(_pipes.pop(), "w") as pipe:
            pipe.write(f"{worker_id}\n")

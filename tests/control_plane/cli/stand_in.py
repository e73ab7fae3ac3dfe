"""What a worker is for whoever starts and stops it, without a control plane. `STAND_IN` says how it behaves."""

import os
import signal
import sys
import threading
from types import FrameType

behaviour = os.environ["STAND_IN"]
pipe = int(os.environ["CONTROL_PLANE_WORKER_READY_FD"])
second = threading.Event()


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - it goes to the log


def on_term(_signal: int, _frame: FrameType | None) -> None:
    say("Leaving: no execution is under way." if behaviour == "obliging" else "Finishing 1 execution.")
    if behaviour == "obliging":
        sys.exit(0)


def on_interrupt(_signal: int, _frame: FrameType | None) -> None:
    if behaviour == "busy":
        say("Stopping the executions that are under way.")
        sys.exit(0)


signal.signal(signal.SIGTERM, on_term)
signal.signal(signal.SIGINT, on_interrupt)
say(f"started with {' '.join(sys.argv[1:])}")
say(f"a key of {len(os.environ['CONTROL_PLANE_API_KEY'])} characters, in {os.environ['VIRTUAL_ENV']}")
if behaviour == "refused":
    sys.exit("The control plane doesn't let this worker in.")
if behaviour != "silent":
    with os.fdopen(pipe, "w") as told:
        told.write("the-id-of-the-worker\n")
while True:
    signal.pause()

"""Joining the control plane before Prefect looks its work pool up. Prefect finds this module by its entry point.

`prefect worker start --pool env-…` with `CONTROL_PLANE_URL` and `CONTROL_PLANE_API_KEY` in its environment becomes the
member of an environment: what it was started with opens a session, and the session's token takes its place in the
environment of this process, which is what Prefect's settings and child processes see. Nothing is written to disk.
"""

import argparse
import atexit
import ctypes
import json
import os
import platform
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from uuid import UUID

from prefect.plugins import HookContext, SetupResult, register_hook

from control_plane import __version__
from control_plane.client import JoiningClient, Refused, Unreachable
from control_plane.wire.joining import JoinRequest, WorkerSession
from workpools.membership import Membership

_TIMEOUT_SECONDS = 12.0
"""Prefect gives all plugins 20 s together."""

_OF_THE_CONTROL_PLANE = ("cps_", "cp_exec_")
"""How tokens begin that the control plane gave to a process which had joined: that one's children needn't."""

_PR_SET_DUMPABLE = 4

_memberships: list[Membership] = []


@dataclass(frozen=True, slots=True)
class Start:
    """How a worker is to be started: in a work pool or, if `worker_queue_id` is given, in that queue."""

    work_pool: str | None
    worker_queue_id: UUID | None = None
    worker_queue: str | None = None
    name: str | None = None
    slots: int | None = None


@register_hook
def setup_environment(*, ctx: HookContext) -> SetupResult | None:
    """Prefect's hook. It runs whenever Prefect is imported, so also where nothing is to be joined."""
    hide_from_siblings()
    start = start_in(sys.argv)
    credential = os.environ.get("CONTROL_PLANE_API_KEY", "")
    if start is None or credential.startswith(_OF_THE_CONTROL_PLANE):
        return None
    if not credential and "CONTROL_PLANE_URL" not in os.environ:
        return None  # a worker of some other Prefect
    membership = join(start, prefect_version=ctx.prefect_version)
    session = membership.session
    return SetupResult(
        env=environment(session.prefect_api_url, session.session_token), note=f"joined {session.work_pool}"
    )


def membership() -> Membership | None:
    """The membership of this process, if it has joined."""
    return _memberships[-1] if _memberships else None


def join(start: Start, *, prefect_version: str) -> Membership:
    """Join, and keep the session alive from now on. Exits with the reason if this worker isn't let in."""
    try:
        url, credential = os.environ["CONTROL_PLANE_URL"], os.environ["CONTROL_PLANE_API_KEY"]
    except KeyError as missing:
        raise SystemExit(
            f"{missing.args[0]} is not set. A worker needs CONTROL_PLANE_URL and, as CONTROL_PLANE_API_KEY, a worker"
            " key, a join token or an API key."
        ) from None
    client = JoiningClient(url, credential, timeout_seconds=_TIMEOUT_SECONDS)
    try:
        session = _joined(client, start, _request(start, prefect_version))
    except Unreachable as error:
        client.close()
        raise SystemExit(f"{error} Is CONTROL_PLANE_URL right, and does it run? It is {url}.") from None
    except Refused as refusal:
        client.close()
        raise SystemExit(f"The control plane at {url} doesn't let this worker in: {_reason(refusal, start)}") from None
    # Who started this process gave it the key; from here on nobody who looks at it or starts from it finds it.
    os.environ["CONTROL_PLANE_API_KEY"] = session.session_token
    os.environ.pop("PREFECT_API_AUTH_STRING", None)  # Prefect's clients would prefer it to the token
    kept = Membership(client, session)
    kept.start()
    atexit.register(kept.leave)
    _memberships.append(kept)
    return kept


def environment(prefect_api_url: str, token: str) -> dict[str, str]:
    """The settings with which a process speaks to Prefect by way of the control plane."""
    try:
        headers = json.loads(os.environ.get("PREFECT_CLIENT_CUSTOM_HEADERS", "{}"))
    except ValueError:
        headers = {}
    return {
        "PREFECT_API_URL": prefect_api_url,
        "PREFECT_API_KEY": token,
        # Prefect's event clients send the key to Prefect Cloud only; a header is all that can be set for them.
        "PREFECT_CLIENT_CUSTOM_HEADERS": json.dumps({**headers, "Authorization": f"Bearer {token}"}),
    }


def start_in(arguments: Sequence[str]) -> Start | None:
    """What `prefect worker start …` says; None for any other command. Exits if it names no pool or two queues."""
    program, *rest = arguments or [""]
    # `-m` is what stands there while `python -m prefect` is still importing.
    if PurePath(program).stem not in {"prefect", "-m", "__main__"} or "worker" not in rest:
        return None
    command, *options = rest[rest.index("worker") + 1 :] or [""]
    if command != "start" or {"--help", "-h"} & set(options):
        return None
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--pool", "-p")
    parser.add_argument("--work-queue", "-q", action="append", default=[])
    parser.add_argument("--name", "-n")
    parser.add_argument("--limit", "-l", type=int)
    try:
        found, _ = parser.parse_known_args(options)
    except argparse.ArgumentError:
        return None  # Prefect itself says what is wrong
    if found.pool is None:
        return None
    if len(found.work_queue) > 1:
        raise SystemExit("A worker joins one queue. Start one worker for each --work-queue.")
    return Start(found.pool, worker_queue=next(iter(found.work_queue), None), name=found.name, slots=found.limit)


def hide_from_siblings() -> None:
    """Let no other process of the same user read the environment and the memory of this one, on Linux.

    The kernel then gives `/proc/<pid>/environ`, where the key stands that this process was started with, to root alone.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _joined(client: JoiningClient, start: Start, request: JoinRequest) -> WorkerSession:
    if start.worker_queue_id is not None:
        return client.start_in_queue(start.worker_queue_id, request)
    return client.start_in_pool(start.work_pool or "", request)


def _request(start: Start, prefect_version: str) -> JoinRequest:
    hostname = socket.gethostname()
    return JoinRequest(
        name=(start.name or f"{hostname}-{os.getpid()}")[:200],
        version=__version__,
        python_version=platform.python_version(),
        prefect_version=prefect_version,
        platform=platform.platform()[:200],
        hostname=hostname[:255],
        slots=start.slots,
        worker_queue=start.worker_queue,
    )


_HINTS: Mapping[str, str] = {
    "unauthenticated": "Check CONTROL_PLANE_API_KEY.",
    "not_found": "Check --pool and --work-queue, and that the key is one of this environment.",
}


def _reason(refusal: Refused, start: Start) -> str:
    where = f"worker queue {start.worker_queue_id}" if start.worker_queue_id else f"work pool {start.work_pool}"
    return " ".join(filter(None, [str(refusal), _HINTS.get(refusal.code), f"({refusal.code}, {where})"]))

"""`control-plane dev`: everything on this machine, until somebody stops it."""

import os
import shlex
import signal
import time
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.markup import escape

from control_plane.cli.places import data_folder
from control_plane.embedded.bootstrap import AGENT, ensure, ensure_tenant
from control_plane.embedded.stack import Stack
from control_plane.rest import Rest
from toolsets.registry import REHEARSE_VARIABLE


class Steps:
    """Prints each step with the seconds it took."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __call__(self, what: str, seconds: float) -> None:
        self._console.print(f"  [green]✓[/] {escape(what):<62}[dim]{seconds:6.2f} s[/]")


def stay_up(data: Path | None, *, port: int | None) -> None:
    """Start the stack, say how to use it, and return once it was stopped. Raises `ProcessFailed`."""
    console = Console(highlight=False, soft_wrap=True)
    folder = data_folder(data)
    stop_on_termination()
    console.print(f"Starting the control plane in {folder.path}")
    try:
        with Stack(folder, Steps(console), api_port=port) as stack:
            tenant = ensure_tenant(stack)
            with Rest(stack.api_url, tenant.api_key) as rest:
                agent = AGENT | {"environment_id": tenant.environment["id"]}
                ensure(rest, "/agents", agent, by=("environment_id", "name"))
            rehearse = [name for name in os.environ.get(REHEARSE_VARIABLE, "").split(",") if name]
            stack.start_worker(tenant.environment["work_pool"], tenant.worker_key, rehearse=rehearse)
            console.print(_welcome(stack))
            while True:
                stack.check()
                time.sleep(0.5)
    except KeyboardInterrupt:
        console.print("Stopped. The data is kept.")


def stop_on_termination() -> None:
    """Treat every request to end like Ctrl-C, also where a shell has us ignore it, so that all is stopped."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(kind, interrupt)


def _welcome(stack: Stack) -> str:
    command = "control-plane"
    if data_folder(None).path != stack.data.path:
        command = f"CONTROL_PLANE_DATA={shlex.quote(str(stack.data.path))} {command}"
    return f"""
Ready. Ctrl-C stops everything and keeps the data.
  REST API     {stack.api_url}/api/docs
  Run history  {stack.api_url}/run-history/
  Prefect UI   {stack.prefect.ui_url}
  Keys         {command} keys
  Try          {command} run assistant "What time is it?" --follow
A worker runs for the environment dev. Others need one each: GET /api/v1/environments/ID/worker-command says how.
"""

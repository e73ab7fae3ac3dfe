"""`control-plane worker`: workers in the background of this machine. What a command needs is imported when it runs."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from control_plane.cli.options import Data

app = typer.Typer(
    name="worker",
    help="Manage workers as background processes of this machine.",
    no_args_is_help=True,
)

Named = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="Which worker. May be left out if only one runs, or there is only one."),
]


@app.command()
def start(
    *,
    pool: Annotated[str | None, typer.Option(metavar="NAME", help="The work pool to join.")] = None,
    queue_id: Annotated[
        UUID | None, typer.Option(metavar="ID", help="The worker queue to join, instead of --pool.")
    ] = None,
    work_queue: Annotated[
        str | None, typer.Option(metavar="NAME", help="The queue of the pool. Default: default.", show_default=False)
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What the worker is called. Default: the machine and the pool.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="How many executions to carry out at once.")
    ] = None,
    venv: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Another Python environment, whose worker to start.")
    ] = None,
    data: Data = None,
) -> None:
    """Start a worker in the background, and return once it is ready for executions.

    The control plane is the one CONTROL_PLANE_URL names; CONTROL_PLANE_API_KEY lets the worker in. The worker goes on
    when the terminal is closed, not when the machine starts again.
    """
    if (pool is None) == (queue_id is None):
        raise typer.BadParameter("Say where the worker is to work: one of --pool and --queue-id.")
    if queue_id is not None and work_queue is not None:
        raise typer.BadParameter("--queue-id names the queue already: leave --work-queue out.")
    from control_plane.cli.worker_start import start as start_worker  # noqa: PLC0415 - see above

    start_worker(pool=pool, queue_id=queue_id, work_queue=work_queue, name=name, limit=limit, venv=venv, data=data)


@app.command()
def stop(
    name: Named = None,
    *,
    timeout: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long executions may take to finish.")
    ] = 90,
    data: Data = None,
) -> None:
    """Stop a worker: it takes nothing new and finishes its executions, but only until the timeout.

    Then its executions are stopped (they end as worker_lost), and 15 s later it is killed if it is still there.
    """
    from control_plane.cli.worker_control import stop as stop_worker  # noqa: PLC0415 - see above

    stop_worker(name, timeout_seconds=timeout, data=data)


@app.command()
def drain(name: Named = None, data: Data = None) -> None:
    """Let a worker finish its executions and leave, however long that takes. Nothing is forced from here.

    The worker itself gives them CONTROL_PLANE_WORKER_DRAIN, ten minutes unless it was started with something else.
    """
    from control_plane.cli.worker_control import drain as drain_worker  # noqa: PLC0415 - see above

    drain_worker(name, data=data)


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Which worker. Default: all.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list in JSON.")] = False,
    data: Data = None,
) -> None:
    """Tell which workers of this machine run, and what the control plane says of them if the key may ask.

    Ends with 0 if all of them run, with 3 if one doesn't or there is none, with 1 if there is no worker of that name.
    """
    from control_plane.cli.worker_status import show  # noqa: PLC0415 - see above

    show(name, as_json=as_json, data=data)


@app.command()
def logs(
    name: Named = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the worker ends.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 100,
    data: Data = None,
) -> None:
    """Print the end of a worker's log. The log of the run before is worker.previous.log, beside it."""
    from control_plane.cli.worker_control import logs as print_log  # noqa: PLC0415 - see above

    print_log(name, lines=lines, follow=follow, data=data)

"""`control-plane worker stop`, `drain` and `logs`: one worker that was started in the background."""

from pathlib import Path

import typer

from control_plane.cli.background_worker import BackgroundWorker, State
from control_plane.cli.background_workers import BackgroundWorkers
from control_plane.cli.places import data_folder


def stop(name: str | None, *, timeout_seconds: float, data: Path | None) -> None:
    """Ask it to leave, wait, and make it leave. Raises `Failure` if there is no such worker."""
    worker = BackgroundWorkers(data_folder(data)).named(name)
    if _runs(worker):
        typer.echo(f"Stopping worker {worker.name} …", err=True)
        try:
            worker.stop(timeout_seconds=timeout_seconds, tell=_tell)
        except KeyboardInterrupt:
            raise _no_longer_waiting(worker) from None
        typer.echo(f"Worker {worker.name} has stopped.")


def drain(name: str | None, *, data: Path | None) -> None:
    """Ask it to leave, and wait as long as that takes. Raises `Failure` if there is no such worker."""
    worker = BackgroundWorkers(data_folder(data)).named(name)
    if _runs(worker):
        typer.echo(f"Draining worker {worker.name} …", err=True)
        try:
            worker.drain(_tell)
        except KeyboardInterrupt:
            raise _no_longer_waiting(worker) from None
        typer.echo(f"Worker {worker.name} has left.")


def logs(name: str | None, *, lines: int, follow: bool, data: Path | None) -> None:
    """Print the end of its log and, if asked, what comes until it ends. Raises `Failure` if there is no such worker."""
    worker = BackgroundWorkers(data_folder(data)).named(name)
    try:
        for line in worker.log.follow(lines, goes_on=lambda: follow and worker.state() is not State.STOPPED):
            typer.echo(line)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _runs(worker: BackgroundWorker) -> bool:
    if worker.state() is State.STOPPED:
        typer.echo(f"Worker {worker.name} does not run.")
        return False
    return True


def _tell(line: str) -> None:
    typer.echo(f"  {line}", err=True)


def _no_longer_waiting(worker: BackgroundWorker) -> typer.Exit:
    typer.echo(f"\nNo longer waiting: worker {worker.name} finishes its executions and leaves.", err=True)
    return typer.Exit(130)

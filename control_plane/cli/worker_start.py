"""`control-plane worker start`: what a worker is called, what it is started with, and by which program."""

import os
import re
import socket
from importlib.util import find_spec
from pathlib import Path
from uuid import UUID

import typer

from control_plane import install_command
from control_plane.cli.background_worker import Place
from control_plane.cli.background_workers import BackgroundWorkers
from control_plane.cli.failures import Failure
from control_plane.cli.places import control_plane, data_folder
from control_plane.embedded.programs import program

PROGRAM = "control-plane-worker"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LONGEST_HOST = 40


def start(
    *,
    pool: str | None,
    queue_id: UUID | None,
    work_queue: str | None,
    name: str | None,
    limit: int | None,
    venv: Path | None,
    data: Path | None,
) -> None:
    """Start a worker and wait until it is ready. Raises `Failure`."""
    at = control_plane(data)
    place = Place(at.url, pool, str(queue_id) if queue_id else None, work_queue)
    named = _checked(name) if name is not None else _default_name(place)
    command = [str(_program(venv)), *_arguments(place), "--name", named]
    if limit is not None:
        command += ["--limit", str(limit)]
    worker = BackgroundWorkers(data_folder(data)).new(named)
    environment = _environment(worker.folder, venv) | {
        "CONTROL_PLANE_URL": at.url,
        "CONTROL_PLANE_API_KEY": at.api_key,
    }
    typer.echo(f"Starting worker {named} …", err=True)
    try:
        process = worker.start(command, environment=environment, place=place)
    except KeyboardInterrupt:
        typer.echo(f"Worker {named} was not ready yet and has been stopped.", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"Worker {named} is ready for executions (process {process.pid}). Its log is {worker.log.path}.")


def _arguments(place: Place) -> list[str]:
    given = {"--pool": place.pool, "--queue-id": place.queue_id, "--work-queue": place.work_queue}
    return [part for option, value in given.items() if value for part in (option, value)]


def _default_name(place: Place) -> str:
    """One for each queue on each machine, so that the same line typed twice means the same worker."""
    parts = (socket.gethostname()[:_LONGEST_HOST], place.pool, place.queue_id, place.work_queue)
    return _checked(re.sub(r"[^A-Za-z0-9._-]", "-", "-".join(filter(None, parts))))


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise Failure(
            f"{name!r} can't be the name of a worker: it takes letters, digits, '.', '_' and '-', 100 at most, and"
            " begins with a letter or a digit. Give another one with --name."
        )
    return name


def _program(venv: Path | None) -> Path:
    if venv is None:
        if find_spec("prefect") is None:
            raise Failure(
                f"What a worker needs is not installed. Run {install_command('worker')}, or name with --venv an"
                " environment where it is."
            )
        return program(PROGRAM)
    found = venv.absolute() / "bin" / PROGRAM
    if not os.access(found, os.X_OK):
        raise Failure(f"There is no program {found}. Is {venv} a Python environment with this package in it?")
    return found


def _environment(folder: Path, venv: Path | None) -> dict[str, str]:
    """What it would find if it was started by hand, but for Prefect's own files, which stay in its folder."""
    environment = {"PREFECT_HOME": str(folder / "prefect"), **os.environ}
    if venv is not None:  # as the environment's own `activate` does it
        environment.pop("PYTHONHOME", None)
        environment["VIRTUAL_ENV"] = str(venv.absolute())
        environment["PATH"] = os.pathsep.join([str(venv.absolute() / "bin"), environment.get("PATH", os.defpath)])
    return environment

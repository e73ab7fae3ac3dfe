"""`control-plane worker status`: what this machine knows of its workers, and what the control plane says of them."""

import json
from pathlib import Path
from typing import Any

import typer

from control_plane.cli.background_worker import BackgroundWorker, State
from control_plane.cli.background_workers import BackgroundWorkers
from control_plane.cli.failures import Failure
from control_plane.cli.places import ControlPlane, control_plane, data_folder
from control_plane.client import ControlPlaneError, Unreachable
from control_plane.rest import Rest

NOT_RUNNING = 3
"""As `systemctl status` ends for a service that doesn't run."""

_TIMEOUT_SECONDS = 3.0
_TOLD = ("id", "status", "slots", "running", "last_seen_at")


def show(name: str | None, *, as_json: bool, data: Path | None) -> None:
    """Print them, or one of them; exit 3 unless all that are printed run. Raises `Failure` for an unknown name."""
    workers = BackgroundWorkers(data_folder(data))
    chosen = workers.all() if name is None else [workers.named(name)]
    told = _told(chosen, data)
    found = [_described(worker) | {"control_plane": told.get(worker.name)} for worker in chosen]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    elif found:
        typer.echo("\n".join(_block(worker) for worker in found))
    else:
        typer.echo(f"No worker has been started in {data_folder(data).path}.")
    if not found or any(worker["status"] == State.STOPPED for worker in found):
        raise typer.Exit(NOT_RUNNING)


def _described(worker: BackgroundWorker) -> dict[str, Any]:
    process, since, place = worker.process(), worker.since(), worker.place()
    return {
        "name": worker.name,
        "status": worker.state().value,
        "pid": process.pid if process else None,
        "since": since.isoformat(timespec="seconds") if since else None,
        "url": place.url if place else None,
        "pool": place.pool if place else None,
        "queue_id": place.queue_id if place else None,
        "work_queue": place.work_queue if place else None,
        "log": str(worker.log.path),
    }


def _told(workers: list[BackgroundWorker], data: Path | None) -> dict[str, dict[str, Any]]:
    """What the control plane says of those that run, if it is the one that our key is for, and the key may ask."""
    try:
        at = control_plane(data)
    except Failure:
        return {}
    asked = {worker.name: worker.worker_id() for worker in workers if _belongs_to(worker, at)}
    told: dict[str, dict[str, Any]] = {}
    with Rest(at.url, at.api_key, timeout_seconds=_TIMEOUT_SECONDS) as rest:
        for name, worker_id in asked.items():
            try:
                answer = rest.get(f"/workers/{worker_id}")
            except Unreachable:
                break
            except ControlPlaneError:
                continue
            told[name] = {field: answer[field] for field in _TOLD}
    return told


def _belongs_to(worker: BackgroundWorker, at: ControlPlane) -> bool:
    place = worker.place()
    running = worker.state() in {State.RUNNING, State.DRAINING}
    return running and worker.worker_id() is not None and place is not None and place.url == at.url


def _block(worker: dict[str, Any]) -> str:
    process = f", process {worker['pid']}" if worker["pid"] else ""
    since = f" since {worker['since']}" if worker["since"] else ""
    facts = {
        "pool": worker["pool"],
        "queue": worker["work_queue"] or worker["queue_id"],
        "log": worker["log"],
        "control plane": _load(worker["control_plane"]) if worker["control_plane"] else None,
    }
    lines = [f"  {name:<14}{value}" for name, value in facts.items() if value]
    return "\n".join([f"{worker['name']}: {worker['status']}{since}{process}", *lines])


def _load(told: dict[str, Any]) -> str:
    load = "" if told["running"] is None else f", {told['running']} of {told['slots']} executions"
    return f"{told['status']}{load}"

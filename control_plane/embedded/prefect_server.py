"""A Prefect server of our own: on loopback, behind a password, with everything it keeps in the data folder."""

import base64
import os
from dataclasses import dataclass
from pathlib import Path

from control_plane.embedded.data_folder import DataFolder
from control_plane.embedded.processes import Process, answers, clean_environment, free_port
from control_plane.embedded.programs import program

DEFAULT_PORT = 4200
_READY_SECONDS = 120.0
_USER = "admin"
_PASSWORD = "prefect_password"  # noqa: S105 - the name under which it is kept
_DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"


@dataclass
class PrefectServer:
    """A server that is starting or running. `auth_string` is `user:password`."""

    process: Process
    port: int
    auth_string: str

    @classmethod
    def start(cls, data: DataFolder) -> "PrefectServer":
        """Start it. `wait()` for it to answer."""
        port = free_port(DEFAULT_PORT)
        secret = f"{_USER}:{data.secret(_PASSWORD)}"
        process = Process(
            "Prefect server",
            [program("prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            log=data.log("prefect-server"),
            environment=server_environment(data.path, auth_string=secret),
            folder=data.path,
        ).start()
        return cls(process, port, secret)

    def wait(self) -> None:
        """Return when the server answers and takes our password. Raises `ProcessFailed`."""
        token = base64.b64encode(self.auth_string.encode()).decode()
        url = f"{self.api_url}/admin/version"
        self.process.wait_until(
            lambda: self.process.listens_on(self.port) and answers(url, headers={"Authorization": f"Basic {token}"}),
            seconds=_READY_SECONDS,
        )

    @property
    def api_url(self) -> str:
        """Prefect's API."""
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def ui_url(self) -> str:
        """Prefect's pages for people."""
        return f"http://127.0.0.1:{self.port}"


def kept_auth_string(data: DataFolder) -> str | None:
    """What opens the server of a data folder, as `user:password`, if one was started; its pages ask for it too."""
    password = data.kept(_PASSWORD)
    return f"{_USER}:{password}" if password else None


def client_environment(data: Path) -> dict[str, str]:
    """What every Prefect process gets: a home and a place for passing files in the data folder, nobody to report to."""
    passing = data / "tmp"
    passing.mkdir(exist_ok=True)
    return clean_environment(
        TMPDIR=str(passing),
        PREFECT_HOME=str(data / "prefect"),
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        PREFECT_CLI_COLORS="false",
        PREFECT_LOGGING_COLORS="false",
        DO_NOT_TRACK="1",
    )


def server_environment(data: Path, *, auth_string: str) -> dict[str, str]:
    """The environment of the server, which keeps SQLite unless the user names a PostgreSQL for it."""
    environment = client_environment(data) | {
        "PREFECT_SERVER_API_AUTH_STRING": auth_string,
        "PREFECT_UI_STATIC_DIRECTORY": str(data / "prefect" / "ui"),
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    }
    if _DATABASE in os.environ:
        environment[_DATABASE] = os.environ[_DATABASE]
    return environment

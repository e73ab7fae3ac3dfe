"""PostgreSQL, Prefect, the API and a worker, started in the right order, watched, and stopped in the opposite one."""

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

import migrations
from control_plane.auth.local_issuer import new_key
from control_plane.embedded.data_folder import DataFolder
from control_plane.embedded.own_database import OwnDatabase
from control_plane.embedded.postgres import DATABASE, LOGIN, OWNER, Postgres
from control_plane.embedded.prefect_server import PrefectServer, client_environment
from control_plane.embedded.processes import (
    DEFAULT_API_PORT,
    Process,
    ProcessFailed,
    answers,
    clean_environment,
    free_port,
    is_free,
    proxy_environment,
)
from control_plane.embedded.programs import program
from control_plane.rest import Rest
from control_plane.settings import Settings

_API_READY_SECONDS = 60.0
_POOL_READY_SECONDS = 30.0
_LOOK_EVERY_SECONDS = 0.5
_PROVIDER_KEYS = (
    "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL",
    "LITELLM_API_URL", "LITELLM_API_KEY",
)  # fmt: skip

Event = TypeVar("Event")

Step = Callable[[str, float], None]
"""Called after each step with what was done and the seconds it took."""


@dataclass
class Prefect:
    """Where Prefect is and how to get in."""

    api_url: str
    ui_url: str
    auth_string: str | None


@dataclass
class Stack:
    """Use as a context manager: leaving it stops everything that was started, whatever happened."""

    data: DataFolder
    tell: Step
    api_port: int | None = None
    prefect: Prefect = field(init=False)
    postgres: Postgres | None = field(default=None, init=False)
    """None if the environment names a database of one's own."""
    api_url: str = field(init=False)
    processes: dict[str, Process] = field(default_factory=dict, init=False)
    _exits: ExitStack = field(default_factory=ExitStack, init=False)

    def __enter__(self) -> Self:
        try:
            self._exits.enter_context(self.data.locked())
            self._start()
        except BaseException:
            self._exits.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    def check(self) -> None:
        """Raise `ProcessFailed` if anything that was started has ended."""
        for process in self.processes.values():
            process.check()

    def watched(self, events: Iterator[Event]) -> Iterator[Event]:
        """The same events as they come. Raises `ProcessFailed` as soon as anything that was started has ended."""
        arrived: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

        def receive() -> None:
            try:
                for event in events:
                    arrived.put((True, event))
                arrived.put((False, None))
            except Exception as error:  # noqa: BLE001 - it is raised to whoever reads the events
                arrived.put((False, error))

        threading.Thread(target=receive, name="events", daemon=True).start()
        while True:
            try:
                more, what = arrived.get(timeout=_LOOK_EVERY_SECONDS)
            except queue.Empty:
                self.check()
                continue
            if more:
                yield what
            elif what is None:
                return
            else:
                raise what

    def operator(self) -> Rest:
        """The REST API with the operator's key."""
        return Rest(self.api_url, self.data.secret("operator_key"))

    def start_worker(self, work_pool: str, key: str, *, rehearse: Sequence[str] = ()) -> Process:
        """Start a worker for a pool by the very command that people use. `rehearse` are names of toolsets."""
        with self.timed(f"worker: prefect worker start --pool {work_pool}"):
            return self._start_process(
                Process(
                    f"worker {work_pool}",
                    [program("prefect"), "worker", "start", "--pool", work_pool],
                    log=self.data.log(f"worker-{work_pool}"),
                    environment=client_environment(self.data.path)
                    | {
                        "CONTROL_PLANE_URL": self.api_url,
                        "CONTROL_PLANE_API_KEY": key,
                        "PREFECT_PLUGINS_ENABLED": "1",
                    }
                    | ({"CONTROL_PLANE_WORKER_REHEARSE": ",".join(rehearse)} if rehearse else {}),
                    folder=self.data.path,
                )
            )

    def wait_for_pool(self, rest: Rest, environment_id: str) -> dict[str, Any]:
        """The environment once its work pool exists in Prefect. Raises `ProcessFailed`."""
        deadline = time.monotonic() + _POOL_READY_SECONDS
        while True:
            environment: dict[str, Any] = rest.get(f"/environments/{environment_id}")
            if environment["status"] == "ready":
                return environment
            self.check()
            if time.monotonic() > deadline:
                raise ProcessFailed(f"The work pool {environment['work_pool']} was not created. {self._api_log()}")
            time.sleep(0.05)

    def wait_for_api(self) -> None:
        """Return when the API answers and has its database. Raises `ProcessFailed`."""
        api = self.processes["API"]
        port = int(self.api_url.rpartition(":")[2])
        api.wait_until(lambda: api.listens_on(port) and answers(f"{self.api_url}/ready"), seconds=_API_READY_SECONDS)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Tell how long the block took, unless it fails."""
        started = time.monotonic()
        yield
        self.tell(what, time.monotonic() - started)

    def _start(self) -> None:
        # Prefect's server is the slowest, so it boots while everything else is made ready.
        started = time.monotonic()
        server = self._start_prefect()
        database_url = self._start_database()
        with self.timed("API server"):
            self._start_api(database_url)
            self.wait_for_api()
        if server is not None:
            server.wait()
            self.tell(f"Prefect server on port {server.port}, started alongside", time.monotonic() - started)
        self.data.keep("api_url", self.api_url)

    def _start_prefect(self) -> PrefectServer | None:
        given = os.environ.get("CONTROL_PLANE_PREFECT_API_URL")
        if given:
            ui_url = os.environ.get("CONTROL_PLANE_PREFECT_UI_URL", given.rstrip("/").removesuffix("/api"))
            self.prefect = Prefect(given, ui_url, os.environ.get("CONTROL_PLANE_PREFECT_AUTH_STRING"))
            return None
        server = PrefectServer.start(self.data)
        self._keep(server.process)
        self.prefect = Prefect(server.api_url, server.ui_url, server.auth_string)
        return server

    def _start_database(self) -> str:
        if own := OwnDatabase.named():
            with self.timed("migrations"):
                own.migrate()
            return own.url
        with self.timed("PostgreSQL"):
            postgres = Postgres.start(
                self.data.path / "postgres",
                log=self.data.log("postgres"),
                password=self.data.secret("postgres_password"),
            )
            self._keep(postgres.process)
            self.postgres = postgres
        owner, login = self.data.secret("database_owner_password"), self.data.secret("database_login_password")
        with self.timed("migrations"):
            postgres.ensure_database(owner_password=owner, login_password=login)
            migrations.upgrade(postgres.url(login=OWNER, password=owner, database=DATABASE), grant_to=LOGIN)
        return postgres.url(login=LOGIN, password=login, database=DATABASE)

    def _start_api(self, database_url: str) -> None:
        port = self._api_port()
        self.api_url = f"http://127.0.0.1:{port}"
        environment = clean_environment(
            DATABASE_URL=database_url,
            CONTROL_PLANE_SECRET_KEY=self.data.secret("secret_key"),
            CONTROL_PLANE_ENCRYPTION_KEYS=self.data.secret("encryption_key"),
            CONTROL_PLANE_OPERATOR_KEY=self.data.secret("operator_key"),
            CONTROL_PLANE_LOCAL_ISSUER_KEYS=self.data.kept("local_issuer_key")
            or self.data.keep("local_issuer_key", new_key()),
            CONTROL_PLANE_PUBLIC_URL=self.api_url,
            CONTROL_PLANE_PREFECT_API_URL=self.prefect.api_url,
            PREFECT_HOME=str(self.data.path / "prefect"),
        )
        # What a person set for the API server holds here too, but for the addresses and secrets of this very stack.
        passed_on = {*_PROVIDER_KEYS, *(f"CONTROL_PLANE_{name.upper()}" for name in Settings.model_fields)}
        passed_on -= {"CONTROL_PLANE_DATABASE_URL", "CONTROL_PLANE_MIGRATION_DATABASE_URL"}
        environment = {name: os.environ[name] for name in passed_on & set(os.environ)} | environment
        environment |= proxy_environment()
        if self.prefect.auth_string:
            environment["CONTROL_PLANE_PREFECT_AUTH_STRING"] = self.prefect.auth_string
        self._start_process(
            Process(
                "API",
                [
                    program("uvicorn"),
                    *("control_plane.app:create_app", "--factory"),
                    *("--timeout-keep-alive", "75", "--timeout-graceful-shutdown", "5"),
                    *("--host", "127.0.0.1", "--port"),
                    str(port),
                ],
                log=self.data.log("api"),
                environment=environment,
                folder=self.data.path,
            )
        )

    def _api_port(self) -> int:
        if self.api_port is None:
            return free_port(DEFAULT_API_PORT)
        if not is_free(self.api_port):
            raise ProcessFailed(f"Port {self.api_port} is taken. Choose another, or none to have a free one chosen.")
        return self.api_port

    def _start_process(self, process: Process) -> Process:
        self._keep(process.start())
        return process

    def _keep(self, process: Process) -> None:
        self.processes[process.name] = process
        self._exits.callback(process.stop)

    def _api_log(self) -> str:
        return f"The log of the API is {self.data.log('api')}."

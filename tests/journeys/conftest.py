"""The whole product, running: one stack for all journeys, and ways to look behind it."""

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from control_plane.embedded.bootstrap import Tenant, ensure, ensure_tenant
from control_plane.embedded.data_folder import DataFolder
from control_plane.embedded.processes import Process
from control_plane.embedded.programs import program
from control_plane.embedded.stack import Stack
from control_plane.rest import Rest, StreamedEvent

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Running:
    """A stack with a tenant and a worker. `rest` carries the tenant's API key."""

    stack: Stack
    tenant: Tenant
    rest: Rest
    worker: Process

    def agent(self, name: str, **changes: Any) -> dict[str, Any]:
        """An agent that follows scripts."""
        body = {
            "name": name,
            "environment_id": self.tenant.environment["id"],
            "llm_config": {"provider": "scripted", "model": "script"},
            "toolsets": ["clock", "files"],
            "policies": ["no_destructive_tools"],
        }
        return ensure(self.rest, "/agents", body | changes, by=("environment_id", "name"))

    def start(self, agent: dict[str, Any], message: str, **context: Any) -> dict[str, Any]:
        """Start an execution."""
        body = {"agent_id": agent["id"], "input": {"message": message, "context": context}}
        execution: dict[str, Any] = self.rest.post("/executions", body)
        return execution

    def finished(self, execution: dict[str, Any]) -> tuple[dict[str, Any], list[StreamedEvent]]:
        """The execution after its end, and all of its events."""
        events = list(self.rest.follow(execution["id"]))
        ended: dict[str, Any] = self.rest.get(f"/executions/{execution['id']}")
        return ended, events

    def ended_flow_run(self, execution: dict[str, Any]) -> dict[str, Any]:
        """The flow run of an execution once it has ended too, which is a moment after the execution."""
        while True:
            flow_run: dict[str, Any] = self._prefect(f"/flow_runs/{execution['flow_run_id']}")
            if flow_run["state"]["type"] in {"COMPLETED", "FAILED", "CANCELLED", "CRASHED"}:
                return flow_run
            time.sleep(0.1)

    def _prefect(self, path: str) -> Any:
        prefect = self.stack.prefect
        user, _, password = (prefect.auth_string or "").partition(":")
        response = httpx.get(f"{prefect.api_url}{path}", auth=(user, password), trust_env=False)
        response.raise_for_status()
        return response.json()


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The stack that most journeys share."""
    with pytest.MonkeyPatch.context() as patch:
        # Short, to see a lost process soon; long enough for a restart of the API on a busy machine.
        patch.setenv("CONTROL_PLANE_LEASE", "PT15S")
        patch.setenv("CONTROL_PLANE_RECONCILE_EVERY", "PT1S")
        with Stack(DataFolder(tmp_path_factory.mktemp("stack")), lambda _what, _seconds: None) as stack:
            tenant = ensure_tenant(stack)
            # The tenant's own environment answers with the assistant; these journeys say themselves what happens.
            with Rest(stack.api_url, tenant.api_key) as rest:
                project_id = tenant.environment["project_id"]
                body = {"name": "Scripted", "slug": "scripted", "project_id": project_id}
                created = ensure(rest, "/environments", body, by=("slug",))
                environment = stack.wait_for_pool(rest, created["id"])
                worker_key = rest.post(f"/environments/{environment['id']}/worker-keys", {"name": "journeys"})["key"]
                worker = stack.start_worker(environment["work_pool"], worker_key)
                yield Running(stack, Tenant(tenant.api_key, worker_key, environment), rest, worker)


def processes_of(folder: Path) -> list[int]:
    """The running processes that work in, or were told of, a data folder."""
    return [pid for pid, about in _processes() if str(folder).encode() in about]


def _processes() -> Iterator[tuple[int, bytes]]:
    """Every other process of this machine: its id, and its command line with its environment."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            yield int(entry.name), (entry / "cmdline").read_bytes() + b"\0" + (entry / "environ").read_bytes()


def flow_process(running: Running, execution: dict[str, Any]) -> int:
    """The id of the process that carries out an execution, which its worker writes into its log."""
    text = rf"execution {execution['id']} is carried out by process (\d+)"
    while not (found := re.search(text, running.worker.log.read_text())):
        running.worker.check()
        time.sleep(0.05)
    return int(found[1])


class Terminal:
    """Runs what people run, on a data folder of its own."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self._started: list[subprocess.Popen[str]] = []

    def control_plane(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """Start `control-plane …`."""
        return self._start([program("control-plane"), *arguments], environment)

    def demo(self, **environment: str) -> "subprocess.Popen[str]":
        """Start what `make demo` starts."""
        return self._start([sys.executable, ROOT / "examples" / "demo.py"], environment)

    def until_printed(self, running: "subprocess.Popen[str]", text: str) -> None:
        """Read a program's output until a line holds `text`. Raises if the program ends before."""
        assert running.stdout is not None
        printed = ""
        for line in running.stdout:
            printed += line
            if text in line:
                return
        raise AssertionError(f"it ended with exit code {running.wait()} and never printed {text!r}:\n{printed}")

    def close(self) -> None:
        """End what is still running."""
        for running in self._started:
            if running.poll() is None:
                running.terminate()
            running.communicate(timeout=60)

    def _start(self, arguments: Sequence[str | Path], environment: Mapping[str, str]) -> "subprocess.Popen[str]":
        running = subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"CONTROL_PLANE_DATA": str(self.data), "PYTHONUNBUFFERED": "1"} | environment,
            cwd=self.data.parent,
        )
        self._started.append(running)
        return running


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A terminal on a data folder that doesn't exist yet."""
    opened = Terminal(tmp_path / "data")
    yield opened
    opened.close()

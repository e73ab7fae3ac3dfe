"""`control-plane worker` as people type it, with a stand-in for the program or refused by a real control plane."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from control_plane.cli import worker_start
from control_plane.cli.background_worker import Place
from tests.control_plane.cli.machine import Machine, machine_in
from tests.tenants import Tenant

pytestmark = pytest.mark.integration

POOL = ("--pool", "env-acme-staging")
QUEUE = ("--queue-id", "0198a1f0-0000-7000-8000-000000000001")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine that has no worker when it is given out and none afterwards."""
    machine = machine_in(tmp_path)
    yield machine
    machine.clean_up()


def without(worker: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in worker.items() if name not in names}


@pytest.mark.parametrize(
    "arguments", [(), (*POOL, *QUEUE), (*QUEUE, "--work-queue", "gpu"), ("--queue-id", "one"), (*POOL, "--limit", "0")]
)
async def test_where_it_is_to_work_must_be_clear(machine: Machine, arguments: tuple[str, ...]) -> None:
    done = await machine.run("start", *arguments)

    assert done.code == 2
    assert not machine.data.exists()


@pytest.mark.parametrize("name", ["", ".hidden", "../elsewhere", "a b", "/", "x" * 101, "-n"])
async def test_a_name_that_can_not_be_a_folder_is_refused(machine: Machine, name: str) -> None:
    done = await machine.run("start", *POOL, f"--name={name}")

    assert done.code == 1
    assert "can't be the name of a worker" in done.errors
    assert not machine.data.exists()


async def test_an_environment_without_the_program_is_told(machine: Machine) -> None:
    done = await machine.run("start", *POOL, "--venv", str(machine.folder))

    assert done.code == 1
    assert f"There is no program {machine.folder}/bin/control-plane-worker." in done.errors
    assert not machine.data.exists()


async def test_without_a_key_it_is_not_started(machine: Machine) -> None:
    done = await machine.run("start", *POOL, CONTROL_PLANE_API_KEY="")

    assert done.code == 1
    assert "CONTROL_PLANE_API_KEY is not set" in done.errors
    assert not machine.data.exists()


async def test_a_worker_that_the_control_plane_refuses_says_why(machine: Machine, acme: Tenant, api_url: str) -> None:
    pool = acme.environment["work_pool"]

    done = await machine.run("start", "--pool", pool, "--name", "one", CONTROL_PLANE_URL=api_url)

    assert done.code == 1
    assert "doesn't let this worker in: The credential is unknown, expired or revoked." in done.errors
    assert "Traceback" not in done.errors
    assert not (machine.worker().folder / "worker.pid").exists()


async def test_the_status_is_what_the_machine_knows(machine: Machine) -> None:
    pid = await machine.runs()

    shown, listed = await machine.run("status"), await machine.run("status", "one", "--json")

    (worker,) = json.loads(listed.output)
    assert (shown.code, listed.code) == (0, 0)
    assert shown.output.startswith("one: running since 20")
    assert shown.output.splitlines()[1:] == [
        "  pool          env-acme-staging",
        f"  log           {machine.worker().log.path}",
    ]
    assert without(worker, "since") == {
        "name": "one",
        "status": "running",
        "pid": pid,
        "url": "http://127.0.0.1:9",
        "pool": "env-acme-staging",
        "queue_id": None,
        "work_queue": None,
        "log": str(machine.worker().log.path),
        "control_plane": None,
    }


async def test_the_exit_code_says_whether_all_run(machine: Machine) -> None:
    none = await machine.run("status")
    await machine.runs(name="one")
    await machine.runs(name="two")
    both = await machine.run("status")
    await machine.run("stop", "one")

    either, one, two = [await machine.run("status", *name) for name in ([], ["one"], ["two"])]
    unknown = await machine.run("status", "three")

    assert [none.code, both.code, either.code, one.code, two.code, unknown.code] == [3, 0, 3, 3, 0, 1]


async def test_status_without_a_worker_makes_nothing(machine: Machine) -> None:
    done = await machine.run("status", "--json")

    assert (done.code, done.output) == (3, "[]\n")
    assert not machine.data.exists()


async def test_the_log_is_followed_until_the_worker_ends(machine: Machine) -> None:
    await machine.runs()
    following = asyncio.create_task(machine.run("logs", "--follow"))

    await machine.run("stop")

    followed, last = await following, await machine.run("logs", "-n", "1")
    assert (followed.code, last.code) == (0, 0)
    assert followed.output.splitlines()[-1:] == last.output.splitlines() == ["Leaving: no execution is under way."]


@pytest.mark.parametrize("command", ["stop", "drain", "logs"])
async def test_a_worker_that_nobody_started_is_told(machine: Machine, command: str) -> None:
    done = await machine.run(command, "nobody")

    assert done.code == 1
    assert "No worker has been started in" in done.errors


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (Place("", pool="env-acme-staging"), "Ada-s-machine.local-env-acme-staging"),
        (Place("", pool="env-acme-staging", work_queue="gpu"), "Ada-s-machine.local-env-acme-staging-gpu"),
        (Place("", queue_id="0198a1f0"), "Ada-s-machine.local-0198a1f0"),
    ],
)
def test_it_is_called_by_its_machine_and_its_place(monkeypatch: pytest.MonkeyPatch, place: Place, name: str) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Ada's machine.local")

    assert worker_start._default_name(place) == name

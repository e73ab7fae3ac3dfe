"""Starting and stopping a worker's process, with a stand-in for the program."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from control_plane.cli import background_worker
from control_plane.cli.background_worker import Place, State
from control_plane.cli.failures import Failure
from control_plane.cli.process_identity import ProcessIdentity
from control_plane.embedded.data_folder import DataFolder
from tests.control_plane.cli.machine import KEY, Machine, machine_in
from workpools import readiness

pytestmark = pytest.mark.integration

PLACE = Place("http://127.0.0.1:9", "env-acme-staging")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine that has no worker when it is given out and none afterwards."""
    machine = machine_in(tmp_path)
    yield machine
    machine.clean_up()


@pytest.fixture
async def bystander() -> AsyncIterator[Process]:
    """A process that has nothing to do with workers."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "import signal; signal.pause()")
    yield process
    process.kill()
    await process.wait()


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")


async def test_a_worker_is_detached_and_its_key_is_nowhere_but_in_its_environment(machine: Machine) -> None:
    done = await machine.start()

    process = machine.worker().process()
    assert process, done.errors
    assert done.code == 0
    assert done.output == (
        f"Worker one is ready for executions (process {process.pid}). Its log is {machine.worker().log.path}.\n"
    )
    assert os.getsid(process.pid) == process.pid
    assert KEY not in command_line(process.pid)
    assert [file for file in machine.data.rglob("*") if file.is_file() and KEY in file.read_text()] == []
    assert machine.worker().log.last(2) == [
        "started with --pool env-acme-staging --name one",
        f"a key of {len(KEY)} characters, in {machine.venv}",
    ]


async def test_everything_is_in_the_data_folder_for_its_owner_only(machine: Machine) -> None:
    await machine.start()

    folders = [machine.data, machine.data / "workers", machine.worker().folder]
    assert [folder.stat().st_mode & 0o777 for folder in folders] == [0o700] * 3
    assert sorted(entry.name for entry in machine.folder.iterdir()) == ["data", "venv"]


async def test_a_data_folder_that_workers_made_can_be_used_by_a_stack(machine: Machine) -> None:
    await machine.start()

    with DataFolder(machine.data).locked():
        pass


async def test_a_folder_that_holds_something_else_is_left_alone(machine: Machine) -> None:
    machine.data.mkdir()
    (machine.data / "thesis.txt").write_text("")

    done = await machine.start()

    assert done.code == 1
    assert "holds something else" in done.errors
    assert not (machine.data / "workers").exists()


async def test_a_refused_worker_says_why_and_leaves_no_pid_file(machine: Machine) -> None:
    done = await machine.start("refused")

    assert done.code == 1
    assert "Worker one ended with exit code 1 before it was ready." in done.errors
    assert "    The control plane doesn't let this worker in." in done.errors
    assert not (machine.worker().folder / "worker.pid").exists()
    assert not machine.worker().is_known()


async def test_one_that_is_not_ready_in_time_is_ended(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_worker, "_READY_SECONDS", 0.3)
    DataFolder(machine.data).make()
    environment = {"STAND_IN": "silent", "CONTROL_PLANE_API_KEY": KEY, "VIRTUAL_ENV": str(machine.venv)}
    command = [str(machine.venv / "bin" / "control-plane-worker")]

    with pytest.raises(Failure, match=r"was not ready after 0 s and has been stopped\. Its log is"):
        await asyncio.to_thread(machine.worker().start, command, environment=environment, place=PLACE)

    assert machine.worker().state() is State.STOPPED
    assert not (machine.worker().folder / "worker.pid").exists()


async def test_one_that_runs_is_left_alone_when_it_is_started_again(machine: Machine) -> None:
    pid = await machine.runs()

    again = await machine.start()

    assert again.code == 1
    assert f"Worker one is running already (process {pid}). It is left alone." in again.errors
    assert machine.worker().state() is State.RUNNING
    assert len(machine.worker().log.last(100)) == 2


async def test_of_many_starts_at_the_same_moment_exactly_one_wins(machine: Machine) -> None:
    done = await asyncio.gather(*(machine.start() for _ in range(5)))

    assert sorted(one.code or 0 for one in done) == [0, 1, 1, 1, 1]
    assert [line for line in machine.worker().log.last(100) if line.startswith("started")] == [
        "started with --pool env-acme-staging --name one"
    ]
    assert not (machine.worker().folder / "worker.previous.log").exists()


async def test_while_another_command_starts_it_nobody_else_does(machine: Machine) -> None:
    DataFolder(machine.data).make()
    machine.worker().folder.mkdir(parents=True)

    with machine.worker()._starting():
        done = await machine.start()

    assert done.code == 1
    assert "Worker one is being started by another command already." in done.errors


async def test_a_pid_file_of_another_process_fools_nobody(machine: Machine, bystander: Process) -> None:
    await machine.start()
    await machine.run("stop")
    ProcessIdentity(bystander.pid, "before").write(machine.worker().folder / "worker.pid")

    shown = await machine.run("status")
    stopped = await machine.run("stop")
    pid = await machine.runs()

    assert (shown.code, stopped.code) == (3, 0)
    assert stopped.output == "Worker one does not run.\n"
    assert pid != bystander.pid
    assert bystander.returncode is None


async def test_a_killed_worker_can_be_started_again(machine: Machine) -> None:
    pid = await machine.runs()
    os.kill(pid, signal.SIGKILL)

    again = await machine.runs()

    assert again != pid


async def test_stopping_waits_until_it_has_left(machine: Machine) -> None:
    await machine.runs()

    done = await machine.run("stop")

    assert (done.code, done.output) == (0, "Worker one has stopped.\n")
    assert "  Leaving: no execution is under way." in done.errors
    assert machine.worker().state() is State.STOPPED
    assert not (machine.worker().folder / "worker.pid").exists()


async def test_after_the_timeout_executions_are_stopped_and_that_is_told(machine: Machine) -> None:
    await machine.runs("busy")

    done = await machine.run("stop", "--timeout", "0.5")

    assert done.code == 0
    assert done.errors.splitlines()[1:] == [
        "  Finishing 1 execution.",
        "  It has not finished within 0.5 s: its executions are stopped now.",
        "  Stopping the executions that are under way.",
    ]


async def test_one_that_does_not_end_is_killed(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_worker, "_ENDING_SECONDS", 0.3)
    await machine.runs("stubborn")
    told: list[str] = []

    await asyncio.to_thread(machine.worker().stop, timeout_seconds=0.3, tell=told.append)

    assert told == [
        "Finishing 1 execution.",
        "It has not finished within 0.3 s: its executions are stopped now.",
        "It has not ended 0.3 s later: it is killed. Its executions end as worker_lost.",
    ]
    assert machine.worker().state() is State.STOPPED


async def test_it_is_asked_to_finish_once_whoever_asks_how_often(machine: Machine) -> None:
    await machine.runs("busy")
    process = machine.worker().process()
    assert process

    machine.worker()._ask_to_finish(process)
    state = machine.worker().state()
    await machine.run("stop", "--timeout", "0.5")

    assert state is State.DRAINING
    assert machine.worker().log.last(100)[2:] == [
        "Finishing 1 execution.",
        "Stopping the executions that are under way.",
    ]


async def test_after_a_drain_it_starts_as_if_nothing_had_been(machine: Machine) -> None:
    await machine.runs()
    drained = await machine.run("drain")

    await machine.runs()

    assert (drained.code, drained.output) == (0, "Worker one has left.\n")
    assert machine.worker().state() is State.RUNNING


async def test_the_log_of_the_run_before_is_kept(machine: Machine) -> None:
    await machine.runs("busy")
    await machine.run("stop", "--timeout", "0.5")

    await machine.runs()

    previous = machine.worker().folder / "worker.previous.log"
    assert "Stopping the executions" in previous.read_text()
    assert len(machine.worker().log.last(100)) == 2


def test_the_variable_is_the_one_that_workers_read() -> None:
    assert background_worker.READY_VARIABLE == readiness.VARIABLE

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane.embedded.processes import (
    Process,
    ProcessFailed,
    clean_environment,
    free_port,
    is_free,
    proxy_environment,
)

pytestmark = pytest.mark.integration

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
)
CHILD_OF_ITS_OWN = (
    "import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
    " print(child.pid, flush=True); time.sleep(60)"
)
PARENT = """
import sys, time
from pathlib import Path
from control_plane.embedded.processes import Process
process = Process("sleeper", ["/bin/sleep", "60"], log=Path(sys.argv[1]), environment={}, folder=Path("/")).start()
print(process.popen.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def python(tmp_path: Path) -> Iterator["PythonPrograms"]:
    programs = PythonPrograms(tmp_path)
    yield programs
    programs.end()


class PythonPrograms:
    """Runs pieces of Python as processes of a stack."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[Process] = []

    def __call__(self, code: str) -> Process:
        process = Process(
            "program",
            [sys.executable, "-c", code],
            log=self._folder / "logs" / "program.log",
            environment={"ONLY": "this"},
            folder=self._folder,
        ).start()
        self._started.append(process)
        return process

    def end(self) -> None:
        for process in self._started:
            process.kill()


def printed(process: Process) -> str:
    """What the program has printed, once it has printed something."""
    process.wait_until(lambda: process.log.read_text() != "", seconds=10)
    return process.log.read_text()


def test_a_program_gets_exactly_the_environment_it_is_given(python: PythonPrograms) -> None:
    process = python("import os, time; print(sorted(os.environ), flush=True); time.sleep(60)")

    assert "['LC_CTYPE', 'ONLY']" in printed(process) or "['ONLY']" in printed(process)


def test_a_program_that_ends_early_is_told_with_the_end_of_its_log(python: PythonPrograms) -> None:
    process = python("print('the reason'); raise SystemExit(3)")
    process.popen.wait(timeout=10)

    with pytest.raises(ProcessFailed, match=r"(?s)program ended with exit code 3\. Its log is .*the reason"):
        process.check()


def test_a_program_that_is_never_ready_is_told(python: PythonPrograms) -> None:
    process = python("import time; time.sleep(60)")

    with pytest.raises(ProcessFailed, match="was not ready after 0 s"):
        process.wait_until(lambda: False, seconds=0.1)


def test_stopping_ends_what_the_program_has_started_too(python: PythonPrograms) -> None:
    process = python(CHILD_OF_ITS_OWN)
    child = int(printed(process))

    process.stop()

    subprocess.run(["tail", f"--pid={child}", "-f", "/dev/null"], timeout=10, check=True)


def test_a_program_that_does_not_listen_is_killed(python: PythonPrograms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("control_plane.embedded.processes._GRACE_SECONDS", 0.2)
    process = python(STUBBORN)
    printed(process)

    process.stop()

    assert process.popen.returncode == -signal.SIGKILL


def test_a_restart_runs_the_same_program_again(python: PythonPrograms) -> None:
    process = python("import os, time; print(os.getpid(), flush=True); time.sleep(60)")
    first = process.popen.pid
    printed(process)

    process.restart()
    process.wait_until(lambda: len(process.log.read_text().splitlines()) == 2, seconds=10)

    assert process.popen.pid != first


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process die with its parent")
def test_a_program_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log")],
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    ) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())

        parent.kill()

    subprocess.run(["tail", f"--pid={child}", "-f", "/dev/null"], timeout=10, check=True)


def test_the_preferred_port_is_taken_once_and_the_next_one_after_that() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        preferred = taken.getsockname()[1]

        first, second = free_port(preferred), free_port(preferred)

    assert len({preferred, first, second}) == 3


def test_a_port_somebody_listens_on_is_not_free() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        assert not is_free(taken.getsockname()[1])


def test_a_clean_environment_holds_no_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("PREFECT_API_KEY", "x")

    environment = clean_environment(MORE="y")

    assert environment["MORE"] == "y"
    assert environment["PATH"] == os.environ["PATH"]
    assert "x" not in environment.values()


def test_who_listens_on_a_port_is_told_from_a_stranger(python: PythonPrograms) -> None:
    process = python(
        "import socket, time; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True);"
        " time.sleep(60)"
    )
    own_port = int(printed(process))

    with socket.create_server(("127.0.0.1", 0)) as stranger:
        assert process.listens_on(own_port)
        assert not process.listens_on(stranger.getsockname()[1])


def test_a_port_is_its_own_also_if_a_program_that_it_has_started_listens(python: PythonPrograms) -> None:
    process = python(
        "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', '"
        'import socket, time; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1], flush=True);'
        " time.sleep(60)']); time.sleep(60)"
    )

    assert process.listens_on(int(printed(process)))


def test_proxies_are_for_the_world_and_not_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", "intranet.test")

    environment = proxy_environment()

    assert environment == {"HTTPS_PROXY": "http://proxy.test:3128", "no_proxy": "intranet.test,127.0.0.1,localhost"}

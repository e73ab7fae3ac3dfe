import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane.cli.process_identity import ProcessIdentity, started_by_ps

pytestmark = pytest.mark.integration


@pytest.fixture
def ended() -> Iterator[int]:
    """A process that has ended, of which its parent hasn't taken notice yet."""
    popen = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOWAIT)
    yield popen.pid
    popen.wait()


def test_a_process_is_the_same_as_long_as_it_runs() -> None:
    process = ProcessIdentity.of(os.getpid())

    assert process is not None
    assert process.pid == os.getpid()
    assert process.is_alive()


def test_a_later_process_of_the_same_id_is_another_one() -> None:
    earlier = ProcessIdentity(os.getpid(), "before")

    assert not earlier.is_alive()


def test_a_signal_reaches_the_process_and_no_later_one_of_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    process = ProcessIdentity.of(os.getpid())
    assert process

    ProcessIdentity(os.getpid(), "before").send(signal.SIGTERM)
    process.send(signal.SIGINT)

    assert sent == [(os.getpid(), signal.SIGINT)]


def test_what_is_left_of_a_process_that_has_ended_does_not_count(ended: int) -> None:
    assert ProcessIdentity.of(ended) is None
    assert started_by_ps(ended) is None


def test_a_process_that_is_gone_is_none() -> None:
    popen = subprocess.Popen([sys.executable, "-c", ""])
    popen.wait()

    assert ProcessIdentity.of(popen.pid) is None
    assert started_by_ps(popen.pid) is None


def test_other_systems_tell_the_start_by_ps() -> None:
    assert started_by_ps(os.getpid())
    assert started_by_ps(os.getpid()) == started_by_ps(os.getpid())


def test_a_pid_file_has_the_id_in_its_first_line(tmp_path: Path) -> None:
    process = ProcessIdentity(4711, "a while ago")

    process.write(tmp_path / "worker.pid")

    assert (tmp_path / "worker.pid").read_text().splitlines()[0] == "4711"
    assert ProcessIdentity.read(tmp_path / "worker.pid") == process


@pytest.mark.parametrize("content", ["", "4711", "4711\n", "none\nat all\n", "1\n2\n3\n"])
def test_a_file_that_holds_something_else_names_no_process(tmp_path: Path, content: str) -> None:
    (tmp_path / "worker.pid").write_text(content)

    assert ProcessIdentity.read(tmp_path / "worker.pid") is None


def test_a_file_that_is_not_there_names_no_process(tmp_path: Path) -> None:
    assert ProcessIdentity.read(tmp_path / "worker.pid") is None

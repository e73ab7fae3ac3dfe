import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from flows.runtimes.protocol import RunFailed
from flows.workspace import sweep, workspace

pytestmark = pytest.mark.integration

HOLDER = """
import sys
from flows.workspace import workspace
with workspace("abandoned") as folder:
    (folder / "notes.txt").write_text("left behind")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of the machine."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def other_process() -> tuple[subprocess.Popen[str], Path]:
    """A process that has a workspace, and that workspace."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=-1, stdout=-1, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def end(process: subprocess.Popen[str], number: signal.Signals) -> None:
    process.send_signal(number)
    process.communicate()


def test_a_workspace_is_empty_private_and_gone_afterwards(temporary: Path) -> None:
    with workspace("one") as folder:
        found = list(folder.iterdir())
        mode = folder.stat().st_mode & 0o777
        (folder / "notes.txt").write_text("hello")

    assert found == []
    assert mode == 0o700
    assert list((temporary / f"control-plane-{os.getuid()}").iterdir()) == []


def test_the_workspace_of_a_killed_process_is_swept() -> None:
    process, folder = other_process()
    end(process, signal.SIGKILL)
    left = (folder / "notes.txt").read_text()

    sweep()

    assert left == "left behind"
    assert list(folder.parent.iterdir()) == []


def test_the_workspace_of_a_living_process_is_left_alone() -> None:
    process, folder = other_process()

    sweep()
    with pytest.raises(RunFailed, match="Another process on this machine") as caught, workspace("abandoned"):
        pass
    kept = (folder / "notes.txt").exists()
    end(process, signal.SIGKILL)

    assert kept
    assert caught.value.code == "workspace_unavailable"


def test_a_workspace_of_the_same_name_begins_empty() -> None:
    process, folder = other_process()
    end(process, signal.SIGKILL)

    with workspace("abandoned") as again:
        found = list(again.iterdir())

    assert again == folder
    assert found == []


def test_a_lock_that_loses_its_name_before_we_have_it_is_taken_anew(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = temporary / f"control-plane-{os.getuid()}" / "one.lock"
    happens = iter([lock.unlink, lock.exists])
    flock = fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        flock(descriptor, operation)
        next(happens)()

    monkeypatch.setattr(fcntl, "flock", late)

    with workspace("one"):
        named = lock.exists()

    assert named
    assert list(happens) == []


def test_a_folder_that_others_can_enter_is_not_used(temporary: Path) -> None:
    root = temporary / f"control-plane-{os.getuid()}"
    root.mkdir()
    root.chmod(0o777)

    with pytest.raises(RunFailed, match="not a folder that belongs to the worker's user alone"):
        sweep()

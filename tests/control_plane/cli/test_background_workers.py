import os
from pathlib import Path

import pytest

from control_plane.cli.background_worker import BackgroundWorker, State
from control_plane.cli.background_workers import BackgroundWorkers
from control_plane.cli.failures import Failure
from control_plane.cli.process_identity import ProcessIdentity
from control_plane.embedded.data_folder import DataFolder

pytestmark = pytest.mark.unit


@pytest.fixture
def workers(tmp_path: Path) -> BackgroundWorkers:
    return BackgroundWorkers(DataFolder(tmp_path / "data"))


def stopped(workers: BackgroundWorkers, name: str) -> BackgroundWorker:
    """A worker that once ran."""
    worker = workers.new(name)
    worker.folder.mkdir()
    worker._describe(pid=1, worker_id="an-id", place=None)
    return worker


def running(workers: BackgroundWorkers, name: str) -> BackgroundWorker:
    """A worker whose process is this one."""
    worker = stopped(workers, name)
    process = ProcessIdentity.of(os.getpid())
    assert process
    process.write(worker.folder / "worker.pid")
    worker._describe(pid=process.pid, worker_id="an-id", place=None)
    return worker


def test_the_only_worker_needs_no_name(workers: BackgroundWorkers) -> None:
    stopped(workers, "one")

    assert workers.named(None).name == "one"


def test_the_only_one_that_runs_needs_no_name(workers: BackgroundWorkers) -> None:
    stopped(workers, "one")
    running(workers, "two")

    assert workers.named(None).name == "two"


def test_of_several_one_must_be_named(workers: BackgroundWorkers) -> None:
    running(workers, "one")
    running(workers, "two")

    with pytest.raises(Failure, match=r"There are several workers: name one\. There are: one, two\."):
        workers.named(None)

    assert workers.named("two").name == "two"


@pytest.mark.parametrize("name", ["three", "", ".", "..", "../workers/one", "/"])
def test_a_name_that_no_worker_has_is_told(workers: BackgroundWorkers, name: str) -> None:
    stopped(workers, "one")

    with pytest.raises(Failure, match=r"There is no worker .* There are: one\."):
        workers.named(name)


def test_where_none_was_started_one_reads_how_to(workers: BackgroundWorkers, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="Start one with `control-plane worker start --pool NAME`"):
        workers.named(None)

    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_a_worker_that_was_never_let_in_is_no_worker(workers: BackgroundWorkers) -> None:
    refused = workers.new("refused")
    refused.folder.mkdir()
    refused.log.path.write_text("not let in\n")

    assert workers.all() == []


def test_one_that_is_not_ready_yet_is_starting(workers: BackgroundWorkers) -> None:
    worker = running(workers, "one")

    worker._describe(pid=1, worker_id="that of the run before", place=None)

    assert worker.state() is State.STARTING


@pytest.mark.parametrize("content", ["", "{", "\0"])
def test_a_description_that_was_destroyed_hides_no_process(workers: BackgroundWorkers, content: str) -> None:
    worker = running(workers, "one")
    (worker.folder / "worker.json").write_text(content)

    assert [found.name for found in workers.all()] == ["one"]
    assert worker.place() is None

from pathlib import Path

import pytest

from control_plane.cli import worker_log
from control_plane.cli.worker_log import WorkerLog

pytestmark = pytest.mark.unit


@pytest.fixture
def log(tmp_path: Path) -> WorkerLog:
    """A log of ten lines."""
    path = tmp_path / "worker.log"
    path.write_text("".join(f"line {number}\n" for number in range(1, 11)))
    return WorkerLog(path)


def write(log: WorkerLog, text: str) -> None:
    with log.path.open("a") as file:
        file.write(text)


def test_the_last_lines_are_read(log: WorkerLog) -> None:
    assert log.last(2) == ["line 9", "line 10"]
    assert len(log.last(100)) == 10
    assert log.last(0) == []


@pytest.mark.parametrize("block", [1, 5, 7, 13])
def test_lines_are_whole_wherever_a_block_begins(log: WorkerLog, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(worker_log, "_BLOCK_BYTES", block)

    assert log.last(3) == ["line 8", "line 9", "line 10"]


def test_of_a_long_log_only_the_end_is_read(log: WorkerLog, monkeypatch: pytest.MonkeyPatch) -> None:
    write(log, "a line of a log that has grown\n" * 1_000_000)
    lengths: list[int] = []
    pread = worker_log.os.pread

    def counted(file: int, length: int, start: int) -> bytes:
        lengths.append(length)
        return pread(file, length, start)

    monkeypatch.setattr(worker_log.os, "pread", counted)

    assert log.last(2) == ["a line of a log that has grown"] * 2
    assert sum(lengths) == 64 * 1024


def test_a_log_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    log = WorkerLog(tmp_path / "worker.log")

    assert (log.last(10), log.size(), log.since(0)) == ([], 0, ([], 0))


def test_control_characters_do_not_reach_the_terminal(log: WorkerLog) -> None:
    write(log, "\x1b]0;owned\x07\tred\x1b[31m\n")

    assert log.last(1) == ["�]0;owned�\tred�[31m"]


def test_a_line_is_told_once_it_is_whole(log: WorkerLog) -> None:
    position = log.size()
    write(log, "one\ntw")

    first, position = log.since(position)
    write(log, "o\n")
    second, _ = log.since(position)

    assert (first, second) == (["one"], ["two"])


def test_a_log_that_was_begun_anew_is_read_from_its_beginning(log: WorkerLog) -> None:
    position = log.size()
    log.path.write_text("again\n")

    assert log.since(position) == (["again"], 6)


def test_following_ends_with_the_last_words(log: WorkerLog) -> None:
    answers = iter([True, False])

    def goes_on() -> bool:
        write(log, "a word\n")
        return next(answers)

    assert list(log.follow(1, goes_on=goes_on)) == ["line 10", "a word", "a word"]

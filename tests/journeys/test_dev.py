import os
import re
import signal
import subprocess
from pathlib import Path

import psycopg
import pytest

from control_plane.embedded.data_folder import DataFolder
from tests.conftest import TestDatabase
from tests.journeys.conftest import Terminal, processes_of

pytestmark = pytest.mark.journey


def test_dev_stays_up_keeps_its_data_and_stops_on_interrupt(terminal: Terminal) -> None:
    first = terminal.control_plane("dev")
    terminal.until_printed(first, "Ready.")
    asked = terminal.control_plane("run", "assistant", "What time is it?", "--follow").communicate(timeout=60)[0]
    second = terminal.control_plane("dev").communicate(timeout=30)[0]
    first.send_signal(signal.SIGINT)
    first.wait(timeout=60)
    after_first = processes_of(terminal.data)
    again = terminal.control_plane("dev")
    terminal.until_printed(again, "Ready.")
    kept = terminal.control_plane("run", "assistant", "What time is it?").communicate(timeout=30)[0]
    again.terminate()
    again.wait(timeout=60)

    assert "clock_now completed" in asked
    assert "completed" in asked.splitlines()[-3]
    assert f"A stack is running on {terminal.data} already" in second
    assert first.returncode == again.returncode == 0
    assert after_first == processes_of(terminal.data) == []
    assert re.fullmatch(r"[0-9a-f-]{36}\n", kept)


def test_dev_runs_on_a_database_of_ones_own(terminal: Terminal, empty_database: TestDatabase) -> None:
    running = terminal.control_plane(
        "dev", DATABASE_URL=empty_database.url, CONTROL_PLANE_MIGRATION_DATABASE_URL=empty_database.owner_url
    )
    terminal.until_printed(running, "Ready.")

    terminal.control_plane("run", "assistant", "What time is it?").communicate(timeout=30)

    with psycopg.connect(empty_database.superuser_url) as connection:
        assert connection.execute("SELECT count(*) FROM executions").fetchone() == (1,)
    assert not (terminal.data / "postgres").exists()


def test_when_a_part_dies_dev_says_which_and_stops_the_rest(terminal: Terminal) -> None:
    running = terminal.control_plane("dev")
    terminal.until_printed(running, "Ready.")
    [api] = [
        pid for pid in processes_of(terminal.data) if b"control_plane.app" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]

    os.kill(api, signal.SIGKILL)
    output, _ = running.communicate(timeout=60)

    assert running.returncode == 1
    assert f"Error: API ended with exit code -9. Its log is {terminal.data}/logs/api.log" in output
    assert processes_of(terminal.data) == []


def test_a_killed_dev_takes_its_processes_with_it(terminal: Terminal) -> None:
    running = terminal.control_plane("dev")
    terminal.until_printed(running, "Ready.")
    children = processes_of(terminal.data)

    running.kill()
    running.wait(timeout=10)
    for pid in children:
        subprocess.run(["tail", f"--pid={pid}", "-f", "/dev/null"], timeout=60, check=True)

    with DataFolder(terminal.data).locked():
        assert processes_of(terminal.data) == []

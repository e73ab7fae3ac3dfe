import os
import re
import signal
from pathlib import Path

import pytest

from tests.journeys.conftest import Terminal, processes_of

pytestmark = pytest.mark.journey


def test_the_demo_shows_an_allowed_and_a_denied_call_and_leaves_nothing_running(terminal: Terminal) -> None:
    running = terminal.demo()

    output, _ = running.communicate(timeout=150)

    assert running.returncode == 0, output
    assert "worker: prefect worker start --pool env-demo-dev" in output
    assert re.search(r"policy +allow kubernetes_deploy", output)
    assert re.search(r"policy +deny kubernetes_delete", output)
    assert "policy no_destructive_tools v1, rule destroy" in output
    assert re.search(r"http://127\.0\.0\.1:\d+/run-history/runs/flow-run/[0-9a-f-]{36}", output)
    assert processes_of(terminal.data) == []


def test_a_demo_that_fails_says_why_and_leaves_nothing_running(terminal: Terminal) -> None:
    running = terminal.demo(DATABASE_URL="postgresql://nobody:nothing@127.0.0.1:1/nowhere")

    output, _ = running.communicate(timeout=60)

    assert running.returncode == 1
    assert "The demo failed. The database refused: connection failed" in output
    assert processes_of(terminal.data) == []


def test_a_demo_whose_worker_dies_says_so(terminal: Terminal) -> None:
    running = terminal.demo()
    terminal.until_printed(running, "worker: prefect worker start")
    [worker] = [
        pid for pid in processes_of(terminal.data) if b"worker\0start" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]

    os.kill(worker, signal.SIGKILL)
    output, _ = running.communicate(timeout=60)

    assert running.returncode == 1
    assert "The demo failed. worker env-demo-dev ended with exit code -9. Its log is" in output
    assert processes_of(terminal.data) == []


def test_a_process_that_ends_early_is_named_with_its_log(terminal: Terminal) -> None:
    running = terminal.demo(PREFECT_SERVER_DATABASE_CONNECTION_URL="oracle://nowhere")

    output, _ = running.communicate(timeout=90)

    assert running.returncode == 1
    assert "The demo failed. Prefect server ended with exit code" in output
    assert f"Its log is {terminal.data}/logs/prefect-server.log" in output
    assert processes_of(terminal.data) == []

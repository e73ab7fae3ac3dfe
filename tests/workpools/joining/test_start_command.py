import ctypes

import pytest

from workpools.joining import Start, hide_from_siblings, start_in

pytestmark = pytest.mark.unit

PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4


@pytest.mark.parametrize(
    ("command", "start"),
    [
        ("prefect worker start --pool env-acme-staging", Start("env-acme-staging")),
        ("/venv/bin/prefect worker start -p env-acme-staging", Start("env-acme-staging")),
        ("-m worker start --pool=env-acme-staging", Start("env-acme-staging")),
        ("prefect --profile local worker start --pool x --type process --run-once", Start("x")),
        ("prefect worker start --pool x -q urgent", Start("x", worker_queue="urgent")),
        ("prefect worker start -n one --limit 4 --pool x", Start("x", name="one", slots=4)),
    ],
)
def test_a_worker_is_started_as_the_command_says(command: str, start: Start) -> None:
    assert start_in(command.split()) == start


@pytest.mark.parametrize(
    "command",
    [
        "prefect worker ls",
        "prefect worker",
        "prefect",
        "prefect flow-run ls",
        "prefect worker start",
        "prefect worker start --help",
        "prefect worker start --pool x --limit many",
        "pytest worker start --pool x",
        "python -c pass",
    ],
)
def test_any_other_command_joins_nothing(command: str) -> None:
    assert start_in(command.split()) is None


def test_no_command_joins_nothing() -> None:
    assert start_in([]) is None


def test_a_worker_of_two_queues_is_refused() -> None:
    with pytest.raises(SystemExit, match="joins one queue"):
        start_in(["prefect", "worker", "start", "--pool", "x", "-q", "one", "-q", "two"])


def test_no_other_process_of_the_user_can_read_one_that_hides() -> None:
    kernel = ctypes.CDLL(None)
    before = kernel.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)

    hide_from_siblings()

    hidden = kernel.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)
    kernel.prctl(PR_SET_DUMPABLE, before, 0, 0, 0)
    assert hidden == 0

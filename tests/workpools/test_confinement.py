import json
import os
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.workpools.workshop import CANARIES
from toolsets.builtin.sandbox import bubblewrap
from workpools import confinement
from workpools.children import environment
from workpools.settings import WorkerSettings

pytestmark = pytest.mark.unit


def in_a_child(act: Callable[[], object]) -> str:
    """What `act` returns, as JSON, or the name of what it raises, in a process that is forked for it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            answer = json.dumps(act())
        except Exception as error:  # noqa: BLE001 - told to the test
            answer = type(error).__name__
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer_of:
        told = answer_of.read()
    os.waitpid(pid, 0)
    return told


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[confinement.Users]]:
    """Those of two workers of root on one machine."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(confinement, "can_work_as", lambda _user: True)
    both = [confinement.Users(), confinement.Users()]
    yield both
    for each in both:
        each.close()


def test_two_workers_on_a_machine_never_use_the_same_user(users: list[confinement.Users]) -> None:
    one, other = users

    taken = [one.take(), other.take(), one.take(), other.take()]

    assert None not in taken
    assert len(set(taken)) == 4


def test_a_user_that_was_given_back_can_be_taken_again_by_others(users: list[confinement.Users]) -> None:
    one, other = users
    first = one.take()
    assert first is not None

    one.give_back(first)

    assert other.take() == first


def test_who_is_not_root_has_no_other_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert confinement.Users().take() is None


def test_a_user_who_can_not_reach_the_interpreter_can_not_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    closed = tmp_path_factory.mktemp("closed")
    closed.chmod(0o700)
    monkeypatch.setattr(confinement, "become", lambda _user: None)
    monkeypatch.setattr(sys, "executable", str(closed / "python"))

    assert not confinement.can_work_as(61184)


def test_no_privilege_is_kept_or_gained() -> None:
    def act() -> list[str]:
        confinement.give_up_privileges()
        lines = Path("/proc/self/status").read_text().splitlines()
        return [line.split()[1] for line in lines if line.startswith(("CapPrm", "CapEff", "NoNewPrivs"))]

    kept, effective, none_new = json.loads(in_a_child(act))

    assert [effective, none_new] == [kept, "1"]
    assert int(kept, 16) in {0, 1 << 31}


def test_who_is_not_root_keeps_none() -> None:
    def act() -> int:
        os.geteuid = lambda: 1000
        confinement.give_up_privileges()
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1], 16) for line in lines if line.startswith("CapPrm"))

    assert json.loads(in_a_child(act)) == 0


def test_who_has_given_them_up_can_make_a_sandbox_where_others_can() -> None:
    def act() -> bool:
        confinement.give_up_privileges()
        return bubblewrap.available()

    assert in_a_child(act) == in_a_child(bubblewrap.available)


def test_a_process_whose_parent_is_gone_already_ends() -> None:
    told = in_a_child(lambda: confinement.die_with(os.getppid() + 1))

    assert told == ""


def test_a_limit_that_holds_is_not_raised() -> None:
    def act() -> object:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 300))
        confinement.limit(memory=1 << 40, open_files=1000)
        return resource.getrlimit(resource.RLIMIT_NOFILE)

    assert json.loads(in_a_child(act)) == [300, 300]


@pytest.mark.parametrize("name", CANARIES)
def test_no_credential_of_the_worker_is_passed_on(name: str) -> None:
    given = environment(CANARIES | {"PATH": "/bin"}, WorkerSettings())

    assert name not in given
    assert given["PATH"] == "/bin"


def test_settings_of_prefect_are_passed_on_and_those_of_the_worker() -> None:
    worker = {"PREFECT_LOGGING_LEVEL": "DEBUG", "CONTROL_PLANE_WORKER_MEMORY": "1GiB", "EDITOR": "vi"}

    given = environment(worker, WorkerSettings())

    assert given["PREFECT_LOGGING_LEVEL"] == "DEBUG"
    assert given["CONTROL_PLANE_WORKER_MEMORY"] == "1GiB"
    assert "EDITOR" not in given


def test_names_of_variables_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTROL_PLANE_WORKER_PASS_ENVIRONMENT", "KUBECONFIG, AWS_PROFILE,")
    monkeypatch.setenv("CONTROL_PLANE_WORKER_MEMORY", "1GiB")

    settings = WorkerSettings()

    assert settings.pass_environment == ("KUBECONFIG", "AWS_PROFILE")
    assert settings.memory == 1 << 30
    assert 1 <= settings.slots <= 8

import os

import pytest

from workpools import readiness

pytestmark = pytest.mark.unit


def test_who_waits_is_told_once_and_nobody_else_finds_the_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    readable, writable = os.pipe()
    os.set_inheritable(writable, True)  # noqa: FBT003 - as Python has it
    monkeypatch.setenv(readiness.VARIABLE, str(writable))

    readiness.keep_pipe()
    inheritable = os.get_inheritable(writable)
    readiness.tell("the-id")
    readiness.tell("the-id")

    with os.fdopen(readable) as pipe:
        assert pipe.read() == "the-id\n"
    assert not inheritable
    assert readiness.VARIABLE not in os.environ


@pytest.mark.parametrize("value", ["", "one", "-1"])
def test_without_a_pipe_nobody_is_told(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(readiness.VARIABLE, value)

    readiness.keep_pipe()
    readiness.tell("the-id")

    assert readiness.VARIABLE not in os.environ

import sys
from importlib.metadata import EntryPoint

import pytest

from flows.runtimes import installed
from flows.runtimes.agno import AgnoRuntime
from flows.runtimes.installed import known, load
from flows.runtimes.protocol import ModelEndpoint, RunFailed

pytestmark = pytest.mark.unit


def test_a_runtime_is_found_by_the_type_of_the_agent() -> None:
    assert isinstance(load("agno"), AgnoRuntime)


def test_three_runtimes_come_with_the_distribution() -> None:
    assert [*known()] == ["agno", "claude_code", "openai"]


def test_an_unknown_type_names_the_runtimes_that_are_installed() -> None:
    with pytest.raises(RunFailed, match=r"'oracle'.*Installed are:.*agno") as caught:
        load("oracle")

    assert caught.value.code == "runtime_not_found"


@pytest.mark.parametrize(
    ("value", "code", "words"),
    [
        ("no_such_module:Oracle", "runtime_not_installed", "the module no_such_module is missing"),
        ("tests.flows.runtimes.talk:Missing", "runtime_broken", "installed on this worker but broken: AttributeError"),
    ],
)
def test_a_runtime_that_can_not_be_loaded_is_told_as_such(
    monkeypatch: pytest.MonkeyPatch, value: str, code: str, words: str
) -> None:
    monkeypatch.setattr(installed, "known", lambda: {"oracle": EntryPoint("oracle", value, "control_plane.runtimes")})

    with pytest.raises(RunFailed, match=words) as caught:
        load("oracle")

    assert caught.value.code == code


def test_claude_code_that_is_not_installed_says_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "claude_agent_sdk", None)
    monkeypatch.delitem(sys.modules, "flows.runtimes.claude_code", raising=False)

    with pytest.raises(RunFailed, match=r"comes with agent-control-plane\[claude-code\]") as caught:
        load("claude_code")

    assert caught.value.code == "runtime_not_installed"


def test_the_token_of_an_execution_is_not_printed() -> None:
    endpoint = ModelEndpoint(openai_url="http://x", anthropic_url="http://x", token="secret")

    assert "secret" not in repr(endpoint)

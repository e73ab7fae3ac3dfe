from importlib.metadata import EntryPoint

import pytest

from flows.runtimes import protocol
from flows.runtimes.agno import AgnoRuntime
from flows.runtimes.protocol import ModelEndpoint, RunFailed, load

pytestmark = pytest.mark.unit


def test_a_runtime_is_found_by_the_type_of_the_agent() -> None:
    assert isinstance(load("agno"), AgnoRuntime)


def test_an_unknown_type_names_the_runtimes_that_are_installed() -> None:
    with pytest.raises(RunFailed, match=r"'oracle'.*Installed are:.*agno") as caught:
        load("oracle")

    assert caught.value.code == "runtime_not_found"


def test_a_runtime_that_can_not_be_loaded_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("oracle", "no_such_module:Oracle", "control_plane.runtimes")
    monkeypatch.setattr(protocol, "entry_points", lambda group: [broken])  # noqa: ARG005 - as it is called

    with pytest.raises(RunFailed, match=r"'oracle' is installed on this worker but broken: ModuleNotFound") as caught:
        load("oracle")

    assert caught.value.code == "runtime_broken"


def test_the_token_of_an_execution_is_not_printed() -> None:
    assert "secret" not in repr(ModelEndpoint(openai_url="http://x", token="secret"))

"""Toolsets of `examples/toolset_rehearsal`, which stand in for real ones on workers that are told so."""

import pytest

from toolsets import ToolFailed
from toolsets.registry import REHEARSE_VARIABLE, Registry, ToolsetNotFound
from toolsets.testing import call, conforms

pytestmark = pytest.mark.unit


def test_the_real_toolsets_are_used_unless_a_worker_rehearses() -> None:
    assert "kubernetes_apply" in Registry().get("kubernetes").tools


@pytest.mark.parametrize("name", ["kubernetes", "github", "slack"])
def test_a_rehearsal_stands_in_for_the_real_toolset_of_its_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REHEARSE_VARIABLE, f"clock, {name}")

    rehearsed = Registry().get(name)

    assert rehearsed.description.startswith("Rehearsal: ")
    conforms(rehearsed)


def test_only_what_is_named_is_rehearsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REHEARSE_VARIABLE, "kubernetes")

    assert "slack_search" in Registry().get("slack").tools


def test_what_is_to_be_rehearsed_and_can_not_be_is_not_done_for_real(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REHEARSE_VARIABLE, "shell")

    with pytest.raises(ToolsetNotFound, match="shell"):
        Registry().get("shell")


async def test_a_rehearsal_keeps_to_the_settings_of_the_real_toolset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REHEARSE_VARIABLE, "kubernetes")
    rehearsed = Registry().get("kubernetes")

    with pytest.raises(ToolFailed, match="namespace production is out of bounds"):
        await call(rehearsed, "deploy", settings={"namespaces": ["staging"]}, app="frontend", environment="production")
    with pytest.raises(ToolFailed, match="read-only here"):
        await call(rehearsed, "delete", settings={"read_only": True}, app="frontend", environment="staging")

from importlib.metadata import EntryPoint

import pytest

from toolsets.registry import Registry


@pytest.fixture(autouse=True)
def _bench_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server has the toolset `bench`, which declares the secrets `key` and `lock`, and no other."""
    registry = Registry([EntryPoint("bench", "tests.flows.bench:Plugin", "control_plane.toolsets")])
    monkeypatch.setattr("control_plane.installed_toolsets.service._registry", lambda: registry)

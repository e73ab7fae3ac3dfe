"""Toolsets whose client is an extra of the distribution."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from toolsets import ToolFailed, Toolset
from toolsets.builtin import extras
from toolsets.builtin.github import github
from toolsets.builtin.kubernetes import kubernetes
from toolsets.builtin.mcp import mcp
from toolsets.builtin.slack import slack
from toolsets.testing import context

pytestmark = pytest.mark.unit

SERVER = {"servers": {"a": {"url": "https://mcp.example.com"}}}


@pytest.mark.parametrize(("toolset", "settings"), [(kubernetes, {}), (github, {}), (slack, {}), (mcp, SERVER)])
async def test_an_execution_is_told_at_its_beginning_what_the_worker_lacks(
    toolset: Toolset, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda _: None)

    with pytest.raises(ToolFailed, match=rf"Install agent-control-plane\[{toolset.name}\] there"):
        async with toolset.open(context(toolset, tmp_path, settings=settings)):
            pass


def test_what_they_declare_can_be_read_without_the_clients() -> None:
    loading = (
        "import sys; sys.modules |= dict.fromkeys(['aiohttp', 'gidgethub', 'kubernetes_asyncio', 'mcp', 'slack_sdk']);"
        "from toolsets.registry import Registry; found = Registry();"
        "toolsets = [found.get(name) for name in ('kubernetes', 'github', 'slack', 'mcp')];"
        "print(*(toolset.secrets_for(toolset.configured({})) for toolset in toolsets))"
    )

    loaded = subprocess.run([sys.executable, "-c", loading], capture_output=True, text=True, check=False)

    assert loaded.stdout == "('kubeconfig',) ('github_token',) ('slack_token',) ()\n", loaded.stderr

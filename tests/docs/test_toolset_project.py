"""Whoever types docs/writing-a-toolset.md into a folder of their own has a project whose test runs there."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import blocks

pytestmark = pytest.mark.integration

PAGE = "docs/writing-a-toolset.md"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    plugin, test = blocks(PAGE, "python")
    [about] = blocks(PAGE, "toml")
    (tmp_path / "toolset_weather.py").write_text(plugin, encoding="utf-8")
    (tmp_path / "test_toolset_weather.py").write_text(test, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(about, encoding="utf-8")
    return tmp_path


def outcome(project: Path) -> str:
    """What pytest says there, in short."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ran = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, timeout=120)
    return ran.stdout


def test_the_test_of_the_page_passes_outside_the_checkout(project: Path) -> None:
    assert "3 passed" in outcome(project)


def test_the_test_of_the_page_fails_outside_the_checkout_if_the_tool_is_wrong(project: Path) -> None:
    plugin = project / "toolset_weather.py"
    plugin.write_text(plugin.read_text(encoding="utf-8").replace("13.12", "14.12"), encoding="utf-8")

    assert "1 failed, 2 passed" in outcome(project)

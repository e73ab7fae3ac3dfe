from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from toolsets import ToolContext
from toolsets.builtin import sandbox
from toolsets.builtin.files import files

# What a sandbox holds back can only be tried where there is one; test_sandbox.py has what must be true elsewhere.
collect_ignore = [] if sandbox.available() else ["test_sandbox_confinement.py"]

CallFiles = Callable[..., Awaitable[JsonValue]]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the workspace, with a secret in it."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret.txt").write_text("a secret")
    return folder


@pytest.fixture
def call_files(context: ToolContext) -> CallFiles:
    """Call a tool of `files`: its short name, its arguments by name, and `settings`."""

    async def call(name: str, *, settings: dict[str, JsonValue] | None = None, **arguments: Any) -> JsonValue:
        return await files.tools[f"files_{name}"].call(
            replace(context, settings=files.configured(settings or {})), arguments
        )

    return call

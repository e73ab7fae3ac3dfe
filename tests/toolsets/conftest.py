from pathlib import Path
from uuid import UUID

import pytest

from toolsets import ToolContext


@pytest.fixture
def context(tmp_path: Path) -> ToolContext:
    """What a tool gets, with an empty workspace."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    return ToolContext(
        execution_id=UUID(int=1), tool_execution_id="call-1", idempotency_key="call-1", workspace=workspace
    )

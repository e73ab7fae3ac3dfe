"""The make-believe platform: what runs where, what was said. A JSON file in the execution's workspace."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from toolsets import ToolContext

App = Literal["frontend", "backend"]
Environment = Literal["staging", "production"]

_AT_FIRST: dict[str, Any] = {
    "deployments": {"staging": {"backend": 7, "frontend": 41}, "production": {"backend": 7, "frontend": 40}},
    "issues": [],
    "messages": [],
}


@contextmanager
def opened(context: ToolContext) -> Iterator[dict[str, Any]]:
    """The platform as it stands; what is changed in the block is kept for the next call of the execution."""
    file = context.workspace / "rehearsal.json"
    state = json.loads(file.read_text()) if file.exists() else json.loads(json.dumps(_AT_FIRST))
    yield state
    file.write_text(json.dumps(state))

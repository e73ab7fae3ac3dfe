"""What the API tells of installed toolsets."""

from typing import Any, Literal

from pydantic import BaseModel

from toolsets.toolset import Effect


class ToolRead(BaseModel):
    """One function that an agent may call. `parameters` is a JSON Schema."""

    name: str
    description: str
    effect: Effect
    idempotent: bool
    parameters: dict[str, Any]


class ToolsetRead(BaseModel):
    """One plugin. `problem` says why a broken one can't be used, and is null for the others."""

    name: str
    status: Literal["ready", "broken"]
    description: str
    secrets: list[str]
    tools: list[ToolRead]
    problem: str | None

"""What the API tells of installed toolsets."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from toolsets.toolset import Effect


class ToolRead(BaseModel):
    """One function that an agent may call. `parameters` is a JSON Schema."""

    name: str
    description: str = Field(description="What the model reads of it.")
    effect: Effect = Field(description="What it does to the world, by its author's word.")
    idempotent: bool = Field(description="Whether a call that may have happened can safely be made again.")
    parameters: dict[str, Any]


class ToolsetRead(BaseModel):
    """One plugin. `problem` says why a broken one can't be used, and is null for the others."""

    name: str
    status: Literal["ready", "broken"]
    description: str
    secrets: list[str] = Field(description="Names of the secrets that its tools ask for.")
    tools: list[ToolRead]
    problem: str | None

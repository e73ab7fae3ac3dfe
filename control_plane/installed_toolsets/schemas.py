"""What the API tells of installed toolsets."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from toolsets import Effect


class ToolRead(BaseModel):
    """One function that an agent may call. `parameters` is a JSON Schema."""

    name: str
    description: str = Field(description="What the model reads of it.")
    effect: Effect = Field(description="What it does to the world, by its author's word.")
    idempotent: bool = Field(description="Whether a call that may have happened can safely be made again.")
    timeout_seconds: float | None = Field(description="Most that its author gives a call; null: the execution's limit.")
    parameters: dict[str, Any]


class ToolsetRead(BaseModel):
    """One plugin. `problem` says why a broken one can't be used, and is null for the others."""

    name: str
    status: Literal["ready", "broken"]
    description: str
    secrets: list[str] = Field(description="Names of the secrets that its tools ask for, whatever its settings.")
    hosts: list[str] = Field(description="Network hosts that its tools need, whatever its settings.")
    requires: str = Field(description="Which versions of the plugin API it works with; empty: any.")
    settings: dict[str, Any] = Field(description="JSON Schema of what a toolset configuration may set.")
    tools: list[ToolRead]
    problem: str | None

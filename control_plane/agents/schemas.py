"""REST bodies of agents."""

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from control_plane.contract import Body, Name, Read, Text

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
"""The name of a plugin or policy."""


def _each_once(names: list[str]) -> list[str]:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"must name each once, but {', '.join(twice)} comes again")
    return names


Identifiers = Annotated[
    list[Identifier], Field(max_length=50, json_schema_extra={"uniqueItems": True}), AfterValidator(_each_once)
]
"""Names of plugins or policies, each once."""


class LlmConfig(Body):
    """Which model the agent asks for. `provider` and `model` are LiteLLM's names; `scripted` is built in."""

    provider: Text = Field(min_length=1, max_length=100, examples=["anthropic"])
    model: Text = Field(min_length=1, max_length=200, examples=["claude-3-5-sonnet-20241022"])
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, ge=1, le=1_000_000)


class AgentCreate(Body):
    """A new agent. `toolsets` and `policies` are names; `name` is unique in the environment."""

    name: Name
    description: Text = Field(default="", max_length=2_000)
    instructions: Text = Field(default="", max_length=100_000, description="The system prompt.")
    environment_id: UUID
    agent_type: Identifier = Field(default="agno", description="The runtime that carries the agent out.")
    llm_config: LlmConfig
    toolsets: Identifiers = Field(default=[])
    policies: Identifiers = Field(default=[])


class AgentRead(Read):
    """An agent in its current version."""

    organization_id: UUID
    project_id: UUID
    environment_id: UUID
    name: str
    version: int
    description: str
    instructions: str
    agent_type: str
    llm_config: LlmConfig
    toolsets: list[str]
    policies: list[str]

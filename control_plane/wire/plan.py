"""The plan: everything one execution needs to know, frozen when the execution is created."""

from typing import Any
from uuid import UUID

from pydantic import Field, JsonValue

from control_plane.wire.model import WireModel


class Named(WireModel):
    """A resource by its id and the name people know it by."""

    id: UUID
    name: str


class AgentPlan(WireModel):
    """The version of the agent that this execution runs."""

    id: UUID
    name: str
    version: int
    agent_type: str
    instructions: str


class ModelPlan(WireModel):
    """Which model to ask, and how. The address and the credential are not part of the plan.

    `name` is `provider/model`, as the LLM gateway expects it.
    """

    name: str
    temperature: float | None = None
    max_tokens: int | None = None


class ToolsetPlan(WireModel):
    """A toolset by the name of its plugin, with the settings this environment gives it."""

    name: str
    settings: dict[str, JsonValue] = Field(default_factory=dict)


class PolicyPlan(WireModel):
    """One Rego module that applies to the execution, in the version that was bound when it was created."""

    name: str
    version: int
    module: str
    data: dict[str, JsonValue] = Field(default_factory=dict)


class ExecutionInput(WireModel):
    """What the requester asked for: a message, and context that policies can read."""

    message: str
    context: dict[str, JsonValue] = Field(default_factory=dict)


class Limits(WireModel):
    """Bounds of one execution. Durations are in seconds."""

    max_turns: int = 20
    execution_seconds: float = 3600
    tool_call_seconds: float = 300


class Plan(WireModel):
    """What `flows.agent_execution` fetches first and then carries out."""

    execution_id: UUID
    organization: Named
    project: Named
    environment: Named
    agent: AgentPlan
    model: ModelPlan
    toolsets: list[ToolsetPlan]
    policies: list[PolicyPlan]
    input: ExecutionInput
    requested_by: str
    limits: Limits = Limits()

    def tags(self) -> dict[str, str]:
        """The names under which the flow run is found in the Prefect UI."""
        subjects: dict[str, Any] = {
            "organization": self.organization.name,
            "project": self.project.name,
            "environment": self.environment.name,
            "agent": self.agent.name,
            "execution": self.execution_id,
        }
        return {subject: str(value) for subject, value in subjects.items()}

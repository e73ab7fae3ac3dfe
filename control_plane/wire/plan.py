"""The plan: everything one execution needs to know, frozen when the execution is created."""

from typing import Any
from uuid import UUID

from pydantic import Field, JsonValue

from control_plane.wire.messages import Message
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

    `name` is `provider/model`, as the LLM gateway expects it. `reasoning_effort` is for models that think.
    """

    name: str
    temperature: float | None = None
    max_tokens: int | None = None
    reasoning_effort: str | None = None


class ToolsetPlan(WireModel):
    """A toolset by the name of its plugin, with the settings this environment gives it.

    `secrets` are all that it may ever get: the name that it asks by, and the name of a secret of the organization.
    """

    name: str
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    secrets: dict[str, str] = Field(default_factory=dict)


class PolicyPlan(WireModel):
    """One Rego module that applies to the execution, in the version that was bound when it was created."""

    name: str
    version: int
    module: str
    data: dict[str, JsonValue] = Field(default_factory=dict)


class ExecutionInput(WireModel):
    """What the requester asked for: a message, and context that policies can read.

    `history` is the conversation that the message continues.
    """

    message: str
    context: dict[str, JsonValue] = Field(default_factory=dict)
    history: list[Message] = Field(default_factory=list)


class Limits(WireModel):
    """Bounds of one execution. Durations are in seconds."""

    max_turns: int = 20
    execution_seconds: float = 3600
    tool_call_seconds: float = 300


class TeamMemberPlan(WireModel):
    """An agent that the leader of a team may ask. `name` is what the leader calls it by."""

    agent_id: UUID
    name: str
    role: str


class TeamPlan(WireModel):
    """The team that an execution leads. `max_delegations` is how often it may ask a member."""

    id: UUID
    name: str
    members: list[TeamMemberPlan]
    max_delegations: int


class Plan(WireModel):
    """What `flows.agent_execution` fetches first and then carries out.

    With an `output_schema` the answer must be a JSON object that fits it.
    `parent_execution_id` is the execution that started this one, and `depth` how many stand above it.
    """

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
    output_schema: dict[str, JsonValue] | None = None
    parent_execution_id: UUID | None = None
    depth: int = 0
    team: TeamPlan | None = None

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

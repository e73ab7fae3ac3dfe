"""The input document: what a policy can know of the act it decides about."""

import hashlib
import json
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from control_plane.wire.plan import Named, Plan


class DecisionPoint(StrEnum):
    """Where policies are asked."""

    TOOL_CALL = "tool_call"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class AgentInput(_Part):
    """The agent that wants to act. `type` is its runtime."""

    id: UUID
    name: str
    version: int
    type: str


class ExecutionInput(_Part):
    """The execution it happens in, and what its requester said. Nothing here was written by its model.

    If another execution has started it, that is its parent, whose model wrote the message and may have added to the
    context; `requested_by` is still whoever started the first one. `depth` is how many stand above it.
    """

    id: UUID
    requested_by: str
    message: str
    context: dict[str, JsonValue]
    parent_execution_id: UUID | None = None
    depth: int = 0


class ToolInput(_Part):
    """The tool that is to be called. `effect` is `read`, `write` or `destroy`; `arguments` come from the model."""

    name: str
    toolset: str
    effect: str
    idempotent: bool
    arguments: dict[str, JsonValue] = Field(default_factory=dict)


class DecisionInput(_Part):
    """All of it, as Rego reads it under `input`."""

    point: DecisionPoint
    organization: Named
    project: Named
    environment: Named
    agent: AgentInput
    execution: ExecutionInput
    tool: ToolInput

    @classmethod
    def of_tool_call(cls, plan: Plan, tool: ToolInput) -> "DecisionInput":
        """The input for one tool call of the execution that `plan` describes."""
        return cls(
            point=DecisionPoint.TOOL_CALL,
            organization=plan.organization,
            project=plan.project,
            environment=plan.environment,
            agent=AgentInput(
                id=plan.agent.id, name=plan.agent.name, version=plan.agent.version, type=plan.agent.agent_type
            ),
            execution=ExecutionInput(
                id=plan.execution_id,
                requested_by=plan.requested_by,
                message=plan.input.message,
                context=plan.input.context,
                parent_execution_id=plan.parent_execution_id,
                depth=plan.depth,
            ),
            tool=tool,
        )

    def canonical(self) -> str:
        """The document as JSON with sorted keys: the same text for the same content."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    def digest(self) -> str:
        """SHA-256 of the canonical form, in hex."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()


_NOBODY = UUID(int=0)

EXAMPLE = DecisionInput(
    point=DecisionPoint.TOOL_CALL,
    organization=Named(id=_NOBODY, name="acme"),
    project=Named(id=_NOBODY, name="shop"),
    environment=Named(id=_NOBODY, name="staging"),
    agent=AgentInput(id=_NOBODY, name="DevOps Assistant", version=1, type="agno"),
    execution=ExecutionInput(
        id=_NOBODY,
        requested_by="api_key:ci",
        message="Deploy the frontend app to staging",
        context={"environment": "staging", "requester": "user@example.com"},
    ),
    tool=ToolInput(name="files_read", toolset="files", effect="read", idempotent=True, arguments={"path": "notes.txt"}),
)
"""One complete input document. Every policy is tried on it when it is uploaded."""

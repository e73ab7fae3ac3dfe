"""REST bodies of executions."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from control_plane.agents.output_schemas import OutputSchema
from control_plane.agents.schemas import Variables
from control_plane.budgets.schemas import ExecutionBudget, LimitsRead
from control_plane.contract import SOME_ID, Body, Json, Read, Text, example
from control_plane.executions.state import Status
from control_plane.wire.executions import Usage


class ExecutionInputCreate(Body):
    """What the agent is asked. `context` is for policies and people; the agent reads it too."""

    message: Text = Field(min_length=1, max_length=200_000)
    context: dict[Text, Json] = Field(default={}, max_length=100)
    variables: Variables = Field(default={}, description="Values for variables of the agent, in place of its own.")
    output_schema: OutputSchema | None = Field(default=None, description="In place of the agent's own.")


class ExecutionCreate(Body):
    """Start one run of an agent."""

    model_config = example(
        agent_id=SOME_ID,
        workflow_type="agent_chat",
        input={
            "message": "Deploy the frontend app to staging",
            "context": {"environment": "staging", "requester": "user@example.com"},
        },
    )

    agent_id: UUID
    workflow_type: Literal["agent_chat"] = "agent_chat"
    input: ExecutionInputCreate
    budget: ExecutionBudget | None = Field(default=None, description="What it may use of models, with all it starts.")


class AgentPrompt(Body):
    """Start one run of the agent in the path: `prompt` is the message of an execution, `context` its context."""

    model_config = example(prompt="Deploy the frontend app to staging", context={"environment": "staging"})

    prompt: Text = Field(min_length=1, max_length=200_000)
    context: dict[Text, Json] = Field(default={}, max_length=100)
    variables: Variables = Field(default={}, description="Values for variables of the agent, in place of its own.")
    output_schema: OutputSchema | None = Field(default=None, description="In place of the agent's own.")
    budget: ExecutionBudget | None = Field(default=None, description="What it may use of models, with all it starts.")


class ExecutionRead(Read):
    """One run of an agent. `error` says what happened and what to do, `dispatch_error` why it isn't under way yet."""

    organization_id: UUID
    project_id: UUID
    environment_id: UUID
    agent_id: UUID
    agent_version: int
    workflow_type: str
    status: Status
    input: dict[str, Any]
    requested_by: str
    parent_execution_id: UUID | None = Field(description="The execution that started this one.")
    root_execution_id: UUID | None = Field(description="The first of those that stand above this one.")
    depth: int = Field(description="How many stand above this one.")
    team_id: UUID | None = Field(description="The team whose leader this execution is.")
    response: str | None
    output: dict[str, Any] | None = Field(description="The answer as an object, where an output schema asks for one.")
    error: str | None
    error_code: str | None
    usage: Usage | None
    budget: LimitsRead | None = Field(description="What it may use of models, as asked for when it was started.")
    flow_run_id: UUID | None
    flow_run_url: str | None
    dispatch_error: str | None
    cancel_requested_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None

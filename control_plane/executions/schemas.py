"""REST bodies of executions."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from control_plane.contract import SOME_ID, Body, Json, Read, Text, example
from control_plane.executions.state import Status
from control_plane.wire.executions import Usage


class ExecutionInputCreate(Body):
    """What the agent is asked. `context` is for policies and people; the agent reads it too."""

    message: Text = Field(min_length=1, max_length=200_000)
    context: dict[Text, Json] = Field(default={}, max_length=100)


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


class AgentPrompt(Body):
    """Start one run of the agent in the path: `prompt` is the message of an execution, `context` its context."""

    model_config = example(prompt="Deploy the frontend app to staging", context={"environment": "staging"})

    prompt: Text = Field(min_length=1, max_length=200_000)
    context: dict[Text, Json] = Field(default={}, max_length=100)


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
    response: str | None
    error: str | None
    error_code: str | None
    usage: Usage | None
    flow_run_id: UUID | None
    flow_run_url: str | None
    dispatch_error: str | None
    cancel_requested_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None

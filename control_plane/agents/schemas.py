"""REST bodies of agents."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from control_plane.agents.output_schemas import OutputSchema
from control_plane.contract import ABSENT, SOME_ID, Body, Fixed, Json, Name, Patch, Read, Text, example

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
"""The name of a plugin or policy."""

Description = Annotated[Text, Field(max_length=2_000, description="For people; the model never sees it.")]
Instructions = Annotated[
    Text,
    Field(
        max_length=100_000,
        description="The system prompt. `{{ context.environment }}` stands for a value of the request's context,"
        " `{{ variables.tone }}` for a variable of the agent, `\\{{` for two braces.",
    ),
]
AgentType = Annotated[Identifier, Field(description="The runtime that carries the agent out.")]
Provider = Annotated[
    Text, Field(min_length=1, max_length=100, description="By LiteLLM's name, or `scripted`.", examples=["anthropic"])
]
Model = Annotated[
    Text,
    Field(
        min_length=1, max_length=200, description="As the provider calls it.", examples=["claude-3-5-sonnet-20241022"]
    ),
]
Temperature = Annotated[float, Field(ge=0, le=2, description="How freely the model chooses; null: its own default.")]
MaxTokens = Annotated[
    int, Field(ge=1, le=1_000_000, description="Most tokens of one answer; null: the model's own limit.")
]
ReasoningEffort = Annotated[
    Literal["low", "medium", "high"],
    Field(description="How much a model that can do so thinks before it answers; null: its own default."),
]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]
Variables = Annotated[
    dict[VariableName, Json],
    Field(
        max_length=100,
        description="Variables of the instructions and their values; null where each execution has to bring one.",
    ),
]
VersionNumber = Annotated[int, Field(ge=1, le=2_147_483_647)]


def _each_once(names: list[str]) -> list[str]:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"must name each once, but {', '.join(twice)} comes again")
    return names


Identifiers = Annotated[
    list[Identifier], Field(max_length=50, json_schema_extra={"uniqueItems": True}), AfterValidator(_each_once)
]
"""Names of plugins or policies, each once."""

Toolsets = Annotated[Identifiers, Field(description="Names of the toolsets whose tools it may call, each once.")]
Policies = Annotated[
    Identifiers, Field(description="Names of policies, own or bundled, that decide over its calls, each once.")
]
VersionRead = Annotated[int, Field(description="Counts from 1, one up with each change.")]


MaxTurns = Annotated[int, Field(ge=1, le=1_000, description="Most turns of the model.", examples=[20])]
ExecutionSeconds = Annotated[
    float, Field(ge=1, le=86_400, allow_inf_nan=False, description="Most time from claim to end.", examples=[3600])
]
ToolCallSeconds = Annotated[
    float, Field(ge=1, le=86_400, allow_inf_nan=False, description="Most time of one tool call.", examples=[300])
]


class LlmConfig(Body):
    """Which model the agent asks for. `provider` and `model` are LiteLLM's names; `scripted` is built in."""

    provider: Provider
    model: Model
    temperature: Temperature | None = None
    max_tokens: MaxTokens | None = None
    reasoning_effort: ReasoningEffort | None = None


class LlmConfigUpdate(Patch):
    """Changes of the model settings. Null takes a setting away."""

    provider: Provider = ABSENT
    model: Model = ABSENT
    temperature: Temperature | None = ABSENT
    max_tokens: MaxTokens | None = ABSENT
    reasoning_effort: ReasoningEffort | None = ABSENT


class AgentLimits(Body):
    """Bounds of each execution of the agent. Null, or left out: the control plane's own bound."""

    max_turns: MaxTurns | None = None
    execution_seconds: ExecutionSeconds | None = None
    tool_call_seconds: ToolCallSeconds | None = None


class AgentContent(Body):
    """What a version of an agent consists of. `toolsets` and `policies` are names."""

    name: Name
    description: Description = ""
    instructions: Instructions = ""
    agent_type: AgentType = "agno"
    llm_config: LlmConfig
    toolsets: Toolsets = Field(default=[])
    policies: Policies = Field(default=[])
    variables: Variables = Field(default={})
    limits: AgentLimits = Field(default=AgentLimits())
    output_schema: OutputSchema | None = None


class AgentCreate(AgentContent):
    """A new agent. `toolsets` and `policies` are names; `name` is unique in the environment."""

    model_config = example(
        name="DevOps Assistant",
        description="Helps with Kubernetes and CI/CD tasks",
        environment_id=SOME_ID,
        agent_type="agno",
        llm_config={"provider": "anthropic", "model": "claude-3-5-sonnet-20241022", "temperature": 0.7},
        toolsets=["kubernetes", "github", "slack"],
        policies=["require_approval_for_prod"],
    )

    environment_id: UUID


class AgentUpdate(Patch):
    """Changes of an agent. `llm_config` and `limits` are merged, all else is replaced; it stays in its environment."""

    environment_id: Fixed = None
    name: Name = ABSENT
    description: Description = ABSENT
    instructions: Instructions = ABSENT
    agent_type: AgentType = ABSENT
    llm_config: LlmConfigUpdate = ABSENT
    toolsets: Toolsets = ABSENT
    policies: Policies = ABSENT
    variables: Variables = ABSENT
    limits: AgentLimits = ABSENT
    output_schema: OutputSchema | None = ABSENT


class AgentRollback(Body):
    """Which version to go back to."""

    model_config = example(version=1)

    version: VersionNumber = Field(description="One that the agent had; its content becomes the newest version.")


class AgentRead(Read):
    """An agent in its current version."""

    organization_id: UUID
    project_id: UUID
    environment_id: UUID
    name: str
    version: VersionRead
    description: str
    instructions: str
    agent_type: str
    llm_config: LlmConfig
    toolsets: list[str]
    policies: list[str]
    variables: dict[str, Json]
    limits: AgentLimits
    output_schema: dict[str, Json] | None


class AgentVersionRead(BaseModel):
    """One version of an agent, as it was and stays."""

    model_config = ConfigDict(from_attributes=True)

    agent_id: UUID
    version: VersionRead
    name: str
    description: str
    instructions: str
    agent_type: str
    llm_config: LlmConfig
    toolsets: list[str]
    policies: list[str]
    variables: dict[str, Json]
    limits: AgentLimits
    output_schema: dict[str, Json] | None
    created_at: datetime


class AgentChange(BaseModel):
    """A field in which two versions differ. `field` is a path like `llm_config.model`; null means none."""

    field: str = Field(examples=["llm_config.model"])
    before: Json = Field(description="Its value in the version that is compared with.")
    after: Json = Field(description="Its value in the version of the path.")

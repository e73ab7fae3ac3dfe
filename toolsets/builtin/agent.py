"""Asking other agents of the same project."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from toolsets import ToolContext, Toolset, hookimpl


class AgentSettings(BaseModel):
    """Which agents may be asked: names of those in the environment, `environment/name` of others in the project, ids.

    None: every other agent of the environment. A team's leader may ask its members, of those.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    agents: Annotated[tuple[str, ...], Field(max_length=100)] | None = None


agent = Toolset("agent", description="Asks other agents, each under its own policies.", settings=AgentSettings)


@agent.tool(effect="read")
async def list(context: ToolContext) -> dict[str, Any]:  # noqa: A001 - the tool is called agent_list
    """List the agents that you can ask, with what each is for."""
    return {
        "agents": [
            {"name": one.name, "description": one.description} | ({"role": one.role} if one.role else {})
            for one in await context.agents.listed()
        ]
    }


@agent.tool(effect="write", idempotent=True, waits=True)
async def ask(
    call: ToolContext[AgentSettings],
    agent: str,
    message: str,
    context: dict[str, JsonValue] | None = None,
) -> dict[str, Any]:
    """Ask another agent to do something, and wait for its answer.

    It knows nothing of this conversation: say in the message everything that it needs. `agent` is a name as agent_list
    gives it. `context` is data for it and for its policies.
    """
    answer = await call.agents.ask(agent, message, context or {})
    return {
        "agent": answer.agent,
        "execution_id": str(answer.execution_id),
        "response": answer.response,
        "usage": dict(answer.usage),
    }


@hookimpl
def register_toolset() -> Toolset:
    """The toolset `agent`."""
    return agent

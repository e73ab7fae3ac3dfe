"""Messages about executions that an execution starts: which agents it may ask, asking one, and its answer."""

from uuid import UUID

from pydantic import Field, JsonValue

from control_plane.wire.executions import Usage
from control_plane.wire.model import WireModel


class CallableAgent(WireModel):
    """An agent that an execution may ask.

    `name` is how the execution calls it: `staging/Tester` for one in an environment that isn't its own. `role` is what
    it does in the team, if there is one.
    """

    id: UUID
    name: str
    description: str
    role: str = ""


class CallableAgents(WireModel):
    """The agents that an execution may ask, by name; `more` says that there are others."""

    agents: list[CallableAgent]
    more: bool = False


class ChildRequest(WireModel):
    """Start an execution of another agent, for whoever asked for this one.

    `key` is of the tool call that wants it: the same key gets the same child. `agent` is a name as `CallableAgent` has
    it, or an id.
    """

    fence: int
    key: str = Field(min_length=1, max_length=200)
    agent: str = Field(min_length=1, max_length=300)
    message: str
    context: dict[str, JsonValue] = Field(default_factory=dict)


class Child(WireModel):
    """An execution that another one started. `ended` says that nothing changes any more.

    `waiting_because` is why no worker carries it out yet, where that is known.
    """

    execution_id: UUID
    agent: str
    status: str
    ended: bool
    response: str | None = None
    error: str | None = None
    error_code: str | None = None
    usage: Usage | None = None
    waiting_because: str | None = None

"""One request of a client, from where we have checked it to where the library of the protocol asks for its answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from control_plane.agent_tools import tools
from control_plane.agent_tools.calls import Call, Waiter
from control_plane.agent_tools.tools import AgentTool


@dataclass(slots=True)
class Conversation:
    """What a request asks about, and in whose name: `call` if it calls a tool, else why it can't, if it wanted to."""

    environment_id: UUID
    waiter: Waiter
    call: Call | None = None
    refusal: str = "This calls no tool."

    async def tools(self) -> Sequence[AgentTool]:
        """The agents that the caller may start."""
        async with self.waiter.session() as session:
            return await tools.listed(session, self.environment_id)

    async def left(self) -> None:
        """The caller has gone away. When it is this process that ends, the execution goes on."""
        if self.call is not None and self.call.ends_with_its_caller and not self.waiter.notifications.ending:
            await self.waiter.stop(self.call)

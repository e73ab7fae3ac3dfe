"""Other agents, as a tool reaches them: asking one is an execution of its own, for which its own policies decide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from pydantic import JsonValue

from toolsets.failures import ToolFailed


@dataclass(frozen=True, slots=True)
class OtherAgent:
    """An agent that may be asked, by its name. `role` is what it does in the team, if there is one."""

    name: str
    description: str
    role: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an agent answered, in which execution, and what that used: tokens, turns and tool calls."""

    agent: str
    execution_id: UUID
    response: str
    usage: Mapping[str, int]


class Agents(Protocol):
    """The agents that an execution may ask."""

    async def listed(self) -> Sequence[OtherAgent]:
        """Those there are. Raises `ToolFailed`."""

    async def ask(self, agent: str, message: str, context: Mapping[str, JsonValue]) -> Answer:
        """Have one carry something out, and wait for its answer. Made again with the same call, it asks nothing twice.

        Raises `ToolFailed` if it may not be asked, or couldn't do it.
        """


class Nobody:
    """Where there are no other agents."""

    async def listed(self) -> Sequence[OtherAgent]:
        return ()

    async def ask(self, agent: str, message: str, context: Mapping[str, JsonValue]) -> Answer:  # noqa: ARG002 - see `Agents`
        raise ToolFailed(f"There is no agent {agent} to ask.")

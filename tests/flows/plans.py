"""Plans for the tests of what happens inside an execution."""

import asyncio
from typing import Any
from uuid import UUID

from control_plane.wire.plan import AgentPlan, ExecutionInput, Limits, ModelPlan, Named, Plan


def plan(**changes: Any) -> Plan:
    """A plan without toolsets and policies, unless `changes` name some."""
    values: dict[str, Any] = {
        "execution_id": UUID(int=1),
        "organization": Named(id=UUID(int=2), name="acme"),
        "project": Named(id=UUID(int=3), name="shop"),
        "environment": Named(id=UUID(int=4), name="staging"),
        "agent": AgentPlan(id=UUID(int=5), name="Helper", version=1, agent_type="agno", instructions="Be brief."),
        "model": ModelPlan(name="scripted/default"),
        "toolsets": [],
        "policies": [],
        "input": ExecutionInput(message="What time is it?"),
        "requested_by": "user:ada",
        "limits": Limits(),
    }
    return Plan(**(values | changes))


async def told() -> None:
    """Everything has been received."""


class Story:
    """Events in the order in which they were told. Set `failure` to refuse those of type `refused`.

    `begun` is set with the first one.
    """

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.begun = asyncio.Event()
        self.refused: str | None = None
        self.unheard: Exception | None = None
        self.failure: Exception = ConnectionError("the execution isn't ours any more")

    async def emit(self, kind: str, data: dict[str, Any]) -> None:
        if kind == self.refused:
            raise self.failure
        self.events.append((kind, data))
        self.begun.set()

    async def told(self) -> None:
        """Everything has been received, unless `unheard` is set: then it raises that."""
        if self.unheard:
            raise self.unheard

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [data.get("data", data) for told, data in self.events if told == kind]

"""Which agents of an environment are which tools."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.agents.models import Agent, AgentVersion
from control_plane.contract import Body
from control_plane.executions.schemas import ExecutionInputCreate

MOST = 1_000
"""Tools of one environment; no model would choose among more."""

LONGEST_WAIT_SECONDS = 24 * 3600.0

WAITING = "wait_for_execution"
"""The tool that isn't an agent."""

_OTHER = re.compile(r"[^A-Za-z0-9_-]+")
_LONGEST_NAME = 48


class AgentArguments(ExecutionInputCreate):
    """What an agent is asked through its tool."""

    wait_seconds: float | None = Field(
        default=None,
        ge=0,
        le=LONGEST_WAIT_SECONDS,
        allow_inf_nan=False,
        description="How long to wait for the answer. Then the execution goes on and is asked for with"
        f" {WAITING}. Without it: to the end, and who goes away before cancels it.",
    )


class WaitArguments(Body):
    """Which execution to wait for, and how long."""

    execution_id: UUID
    wait_seconds: float = Field(default=50, ge=0, le=LONGEST_WAIT_SECONDS, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class AgentTool:
    """An agent, and what it is called as a tool."""

    name: str
    agent_id: UUID
    title: str
    description: str


async def listed(session: AsyncSession, environment_id: UUID) -> Sequence[AgentTool]:
    """The agents of an environment as tools. Two that would have the same name carry the beginning of their ids."""
    statement = (
        select(Agent.id, Agent.name, AgentVersion.description)
        .join(AgentVersion, and_(AgentVersion.agent_id == Agent.id, AgentVersion.version == Agent.version))
        .where(Agent.environment_id == environment_id, Agent.deleted_at.is_(None))
        .order_by(Agent.name, Agent.id)
        .limit(MOST)
    )
    rows = (await session.execute(statement)).all()
    times = Counter(_plain(row.name) for row in rows)
    return [
        AgentTool(
            name=_plain(row.name) if times[_plain(row.name)] == 1 else f"{_plain(row.name)}-{str(row.id)[:8]}",
            agent_id=row.id,
            title=row.name,
            description=row.description or f"Asks the agent {row.name}.",
        )
        for row in rows
    ]


def schema_of(arguments: type[Body]) -> dict[str, Any]:
    """The JSON Schema of a tool's arguments."""
    return arguments.model_json_schema()


def _plain(name: str) -> str:
    plain = _OTHER.sub("_", name).strip("_")[:_LONGEST_NAME] or "agent"
    return f"{plain}_agent" if plain == WAITING else plain

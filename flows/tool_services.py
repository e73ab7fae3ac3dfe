"""What one tool call can ask of its execution: secrets that its toolset declares, and to be heard while it runs."""

import asyncio
import logging
from collections.abc import Collection
from typing import Protocol
from uuid import UUID

from control_plane.wire.executions import EventType
from flows.blotting import Blotter
from flows.fitting import cut
from flows.origin import origin
from flows.runtimes.protocol import Emit
from toolsets import ToolFailed
from toolsets.agents import Agents, Nobody
from toolsets.context import Services

logger = logging.getLogger(__name__)

PROGRESS_EVERY_SECONDS = 0.5
"""What follows faster than a person reads is left out."""

MOST_PROGRESS = 500
"""Events of one call; a tool that tells more has told enough."""

MAX_PROGRESS_BYTES = 2_000


class Provisions(Protocol):
    """What the control plane gives to tools, over the token of their execution."""

    async def secret(self, toolset: str, name: str) -> str:
        """The value of a secret that a toolset of this execution declares. Raises `ToolFailed` if it gets none."""

    async def keep(self, name: str, content: bytes, *, media_type: str) -> UUID | None:
        """Store an artifact of the execution. None if the control plane won't have it."""

    def agents(self, call_id: str) -> Agents:
        """The agents that this call may ask."""


class Nothing:
    """Provisions where there is no control plane."""

    async def secret(self, toolset: str, name: str) -> str:
        raise ToolFailed(f"The toolset {toolset} gets no secret {name}: it doesn't exist.")

    async def keep(self, name: str, content: bytes, *, media_type: str) -> UUID | None:  # noqa: ARG002 - see `Provisions`
        return None

    def agents(self, call_id: str) -> Agents:  # noqa: ARG002 - see `Provisions`
        return Nobody()


class CallServices:
    """The services of one call. After `end` it gets nothing more, even if a thread of it can't be stopped."""

    def __init__(
        self,
        toolset: str,
        secrets: Collection[str],
        provisions: Provisions,
        blotter: Blotter,
    ) -> None:
        self._toolset = toolset
        self._secrets = secrets
        self._provisions = provisions
        self._blotter = blotter
        self._emit: Emit | None = None
        self._about: dict[str, str] = {}
        self._ended = False
        self._told = 0
        self._next_at = 0.0

    def telling(self, emit: Emit, *, tool_name: str, tool_execution_id: str) -> "CallServices":
        """Let progress be told as that of this call."""
        self._emit = emit
        self._about = {"tool_name": tool_name, "tool_execution_id": tool_execution_id}
        return self

    def services(self, call_id: str) -> Services:
        """As the context of the tool has them: bound, so that nothing else of ours stands in it."""
        return Services(release=self._release, tell=self._tell, agents=self._provisions.agents(call_id))

    def end(self) -> None:
        """The call is over."""
        self._ended = True

    async def _release(self, name: str) -> str:
        if self._ended:
            raise ToolFailed("This call is over, so it gets no secret any more.")
        if name not in self._secrets:
            raise ToolFailed(f"The toolset {self._toolset} doesn't declare the secret {name}, so it isn't given it.")
        value = await self._provisions.secret(self._toolset, name)
        self._blotter.remember(name, value)
        return value

    async def _tell(self, message: str) -> None:
        now = asyncio.get_running_loop().time()
        if self._emit is None or self._ended or now < self._next_at or self._told >= MOST_PROGRESS:
            return
        self._told += 1
        self._next_at = now + PROGRESS_EVERY_SECONDS
        text = cut(self._blotter.text(str(message)), MAX_PROGRESS_BYTES)
        try:
            await self._emit(EventType.TOOL_PROGRESS, {"data": {**self._about, "message": text}})
        except Exception as error:  # noqa: BLE001 - whatever broke the delivery is raised to what comes next
            logger.warning("progress of %s could not be told\n%s", self._about["tool_name"], origin(error))

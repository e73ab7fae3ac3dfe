"""Asking other agents, over the token of the execution that asks."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from pydantic import JsonValue

from control_plane.client import ControlPlaneError, Refused, WorkerClient
from control_plane.wire.children import Child, ChildRequest
from flows.lease import is_lost
from toolsets import ToolFailed
from toolsets.agents import Answer, OtherAgent

logger = logging.getLogger(__name__)

_WAIT_SECONDS = 50.0
"""For one answer of the control plane; below the minute after which proxies give up."""

_CANCEL_SECONDS = 5.0


class Delegation:
    """The other agents, as one call of a tool reaches them. See `toolsets.agents.Agents`."""

    def __init__(self, client: WorkerClient, execution_id: UUID, *, fence: int, call_id: str) -> None:
        self._client = client
        self._id = execution_id
        self._fence = fence
        self._call_id = call_id
        self._asked = 0

    async def listed(self) -> Sequence[OtherAgent]:
        """Those there are."""
        with _refusals_for_the_model():
            found = await self._client.callable_agents(self._id)
        return [OtherAgent(one.name, one.description, one.role) for one in found.agents]

    async def ask(self, agent: str, message: str, context: Mapping[str, JsonValue]) -> Answer:
        """Have one carry something out, and wait for its answer."""
        self._asked += 1
        # The same in a call that is made again, which finds what the first one has started.
        key = f"{self._call_id}/{self._asked}"
        request = ChildRequest(fence=self._fence, key=key, agent=agent, message=message, context=dict(context))
        with _refusals_for_the_model():
            child = await self._client.start_child(self._id, request)
            try:
                while not child.ended:
                    child = await self._client.child(self._id, child.execution_id, wait_seconds=_WAIT_SECONDS)
            except BaseException:
                await self._stop(child)
                raise
        return _answer(child)

    async def _stop(self, child: Child) -> None:
        """Nobody waits for it any more. If this fails, it ends with the execution that has asked."""
        try:
            async with asyncio.timeout(_CANCEL_SECONDS):
                await self._client.cancel_child(self._id, child.execution_id)
        except (ControlPlaneError, TimeoutError) as error:
            logger.warning("execution %s could not be stopped: %s", child.execution_id, type(error).__name__)


@contextlib.contextmanager
def _refusals_for_the_model() -> Iterator[None]:
    """What the control plane refuses, the model reads; that the execution isn't ours any more, it doesn't."""
    try:
        yield
    except Refused as refusal:
        if is_lost(refusal):
            raise
        raise ToolFailed(str(refusal)) from refusal


def _answer(child: Child) -> Answer:
    if child.status != "completed":
        raise ToolFailed(
            f"{child.agent} did not do it: its execution {child.execution_id} ended as {child.status}."
            f" {child.error or ''}".rstrip()
        )
    used = child.usage.model_dump() if child.usage else {}
    return Answer(agent=child.agent, execution_id=child.execution_id, response=child.response or "", usage=used)

"""Agents of type `agno`: Agno drives the conversation, the LLM gateway answers for the model."""

import json
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any
from uuid import uuid4

from agno.agent import Agent
from agno.models.openai.like import OpenAILike
from agno.run.agent import (
    ModelRequestCompletedEvent,
    ModelRequestStartedEvent,
    RunCancelledEvent,
    RunContentEvent,
    RunErrorEvent,
)
from agno.tools.function import Function
from httpx import AsyncClient
from openai import DefaultAsyncHttpxClient

from control_plane.client import is_on_this_machine, trusted
from control_plane.wire.executions import EventType, Usage
from control_plane.wire.plan import Plan
from flows.runtimes.protocol import Emit, GovernedTool, ModelEndpoint, RunFailed, RunResult

_MODEL_RETRIES = 6
"""By the OpenAI SDK, with its back-off (0.5 s, doubling up to 8 s: some 20 s in all), for answers that say «later» and
for none: a restart of the control plane takes seconds. A model call has no effect on the world."""


# Both write prompts, arguments and results of tools into their logs, Agno even as warnings and past our log settings.
logging.getLogger("agno").disabled = True
logging.getLogger("openai").setLevel(logging.WARNING)


class AgnoRuntime:
    """See `flows.runtimes.protocol.Runtime`."""

    async def run(self, plan: Plan, *, tools: Sequence[GovernedTool], endpoint: ModelEndpoint, emit: Emit) -> RunResult:
        """Run the agent, streaming."""
        # Agno lets this variable overrule `telemetry=False`, so whoever has it set must not decide for us.
        os.environ["AGNO_TELEMETRY"] = "false"
        conversation = _Conversation(plan, emit)
        # Ours, to be closed: Agno never closes its own, and a stream left open keeps the model at work.
        async with DefaultAsyncHttpxClient(
            verify=trusted(), trust_env=not is_on_this_machine(endpoint.openai_url)
        ) as http:
            agent = _agent(plan, tools=tools, endpoint=endpoint, conversation=conversation, http=http)
            stream: Any = agent.arun(plan.input.message, stream=True, stream_events=True)
            async with aclosing(stream) as events:
                async for event in events:
                    await conversation.take(event)
        await conversation.close()
        return RunResult(response=conversation.response, usage=conversation.usage)


class _Conversation:
    """Turns Agno's events into ours, and holds the conversation to its limits."""

    def __init__(self, plan: Plan, emit: Emit) -> None:
        self.response = ""
        self.usage = Usage()
        self.broken: Exception | None = None
        self._most_turns = plan.limits.max_turns
        self._emit = emit
        self._message_id = str(uuid4())
        self._content: list[str] = []

    async def take(self, event: Any) -> None:
        if self.broken:
            raise self.broken
        match event:
            case ModelRequestStartedEvent():
                await self._begin_turn()
            case RunContentEvent(content=str(content)) if content:
                self._content.append(content)
                await self._emit(
                    EventType.MESSAGE_CHUNK, {"data": {"content": content, "message_id": self._message_id}}
                )
            case ModelRequestCompletedEvent():
                await self._count(event)
                await self.close()
            case RunErrorEvent():
                raise RunFailed(
                    f"The model call failed: {event.content or 'no reason was given'}",
                    code=event.error_id or "model_call_failed",
                )
            case RunCancelledEvent():
                raise RunFailed(f"The runtime stopped: {event.reason or 'no reason was given'}", code="runtime_stopped")

    async def close(self) -> None:
        """Report the message that has been streamed, if there is one."""
        if not self._content:
            return
        self.response = "".join(self._content)
        self._content = []
        await self._emit(
            EventType.MESSAGE, {"role": "assistant", "content": self.response, "message_id": self._message_id}
        )

    async def _begin_turn(self) -> None:
        if self.usage.model_turns >= self._most_turns:
            raise RunFailed(
                f"The agent used all of its {self._most_turns} model turns without coming to an end. Ask for less at"
                " once, or give it clearer instructions.",
                code="max_turns",
            )
        self.usage = self.usage.model_copy(update={"model_turns": self.usage.model_turns + 1})
        self._message_id = str(uuid4())

    async def _count(self, event: ModelRequestCompletedEvent) -> None:
        self.usage = self.usage.model_copy(
            update={
                "input_tokens": self.usage.input_tokens + (event.input_tokens or 0),
                "output_tokens": self.usage.output_tokens + (event.output_tokens or 0),
            }
        )
        await self._emit(EventType.USAGE, {"data": self.usage.model_dump()})


def _agent(
    plan: Plan,
    *,
    tools: Sequence[GovernedTool],
    endpoint: ModelEndpoint,
    conversation: _Conversation,
    http: AsyncClient,
) -> Agent:
    return Agent(
        name=plan.agent.name,
        model=OpenAILike(
            id=plan.model.name,
            api_key=endpoint.token,
            base_url=endpoint.openai_url,
            temperature=plan.model.temperature,
            max_tokens=plan.model.max_tokens,
            max_retries=_MODEL_RETRIES,
            http_client=http,
        ),
        instructions=plan.agent.instructions or None,
        additional_context=_context(plan),
        tools=[_function(tool, conversation) for tool in tools],
        telemetry=False,
    )


def _function(tool: GovernedTool, conversation: _Conversation) -> Function:
    return Function(
        name=tool.name,
        description=tool.description,
        parameters=tool.parameters,
        entrypoint=_entrypoint(tool, conversation),
        skip_entrypoint_processing=True,
    )


def _entrypoint(tool: GovernedTool, conversation: _Conversation) -> Callable[..., Awaitable[str]]:
    async def call(**arguments: Any) -> str:
        try:
            return await tool.call(arguments)
        except Exception as error:
            # Agno would tell the model and go on, but a governed tool raises only when the execution can't go on.
            conversation.broken = error
            raise

    return call


def _context(plan: Plan) -> str | None:
    if not plan.input.context:
        return None
    return f"Context of the request:\n{json.dumps(plan.input.context, indent=2, sort_keys=True)}"

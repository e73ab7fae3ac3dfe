"""Agents of type `agno`: Agno drives the conversation, the LLM gateway answers for the model."""

import json
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from agno.agent import Agent
from agno.models.message import Message as AgnoMessage
from agno.models.openai.like import OpenAILike
from agno.run.agent import (
    ModelRequestCompletedEvent,
    ModelRequestStartedEvent,
    RunCancelledEvent,
    RunContentEvent,
    RunErrorEvent,
)
from agno.tools.function import Function, FunctionCall
from httpx import AsyncClient
from openai import DefaultAsyncHttpxClient

from control_plane.client import is_on_this_machine, trusted
from control_plane.wire.messages import AssistantMessage, Message, ToolResult, UserMessage
from flows.runtimes import model_errors
from flows.runtimes.finish_reasons import stop_of
from flows.runtimes.malformed_arguments import as_object
from flows.runtimes.protocol import (
    MODEL_RETRIES,
    OfferedTool,
    RunFailed,
    Setup,
    Signal,
    TextChunk,
    ThinkingChunk,
    TurnEnded,
    TurnStarted,
)

# Both write prompts, arguments and results of tools into their logs, Agno even as warnings and past our log settings.
logging.getLogger("agno").disabled = True
logging.getLogger("openai").setLevel(logging.WARNING)

_RAW = "raw"
"""The one argument with which Agno calls our functions: the JSON text that the model wrote."""


class AgnoRuntime:
    """See `flows.runtimes.protocol.Runtime`."""

    @asynccontextmanager
    async def open(self, setup: Setup) -> AsyncIterator["_Conversation"]:
        """A conversation with an agent of its own."""
        # Agno lets this variable overrule `telemetry=False`, so whoever has it set must not decide for us.
        os.environ["AGNO_TELEMETRY"] = "false"
        url = setup.endpoint.openai_url
        # Ours, to be closed: Agno never closes its own, and a stream left open keeps the model at work.
        async with DefaultAsyncHttpxClient(verify=trusted(), trust_env=not is_on_this_machine(url)) as http:
            yield _Conversation(setup, http)


class _Conversation:
    def __init__(self, setup: Setup, http: AsyncClient) -> None:
        self._model = _Model(
            id=setup.model.name,
            api_key=setup.endpoint.token,
            base_url=setup.endpoint.openai_url,
            temperature=setup.model.temperature,
            max_tokens=setup.model.max_tokens,
            reasoning_effort=setup.model.reasoning_effort,
            max_retries=MODEL_RETRIES,
            http_client=http,
        )
        self._agent = Agent(
            name=setup.agent,
            model=self._model,
            system_message=setup.instructions or None,
            build_context=False,
            tools=[_function(tool) for tool in setup.tools],
            telemetry=False,
        )

    async def stream(self, messages: Sequence[Message], *, turns: int) -> AsyncGenerator[Signal]:  # noqa: ARG002
        run: Any = self._agent.arun(_translated(messages), stream=True, stream_events=True)
        async with aclosing(run) as events:
            async for event in events:
                match event:
                    case ModelRequestStartedEvent():
                        self._model.begin()
                        yield TurnStarted()
                    case RunContentEvent():
                        if event.reasoning_content:
                            yield ThinkingChunk(event.reasoning_content)
                        if isinstance(event.content, str) and event.content:
                            yield TextChunk(event.content)
                    case ModelRequestCompletedEvent():
                        for refusal in self._model.refused:
                            yield TextChunk(refusal)
                        yield self._ended(event)
                    case RunErrorEvent():
                        raise self._failure(event)
                    case RunCancelledEvent():
                        text = f"The runtime stopped: {event.reason or 'no reason was given'}"
                        raise RunFailed(text, code="runtime_stopped")

    def _ended(self, event: ModelRequestCompletedEvent) -> TurnEnded:
        return TurnEnded(
            input_tokens=event.input_tokens or 0,
            output_tokens=event.output_tokens or 0,
            stop=stop_of(self._model.finish_reason, refused=bool(self._model.refused)),
        )

    def _failure(self, event: RunErrorEvent) -> RunFailed:
        known = model_errors.explained(self._model.failure) if self._model.failure else None
        return known or model_errors.failed(event.content or "", code=event.error_id)


@dataclass
class _Model(OpenAILike):
    """Agno's model, with what Agno drops: why a turn ended, what went wrong, and arguments as the model wrote them."""

    finish_reason: str | None = None
    refused: list[str] = field(default_factory=list)
    failure: BaseException | None = None

    def begin(self) -> None:
        """Forget the turn before."""
        self.finish_reason, self.refused, self.failure = None, [], None

    async def ainvoke_stream(self, *arguments: Any, **named: Any) -> AsyncIterator[Any]:
        """One turn."""
        try:
            async with aclosing(super().ainvoke_stream(*arguments, **named)) as deltas:  # type: ignore[type-var]
                async for delta in deltas:
                    yield delta
        except Exception as error:
            self.failure = error
            raise

    def _parse_provider_response_delta(self, response_delta: Any) -> Any:
        for choice in response_delta.choices:
            self.finish_reason = choice.finish_reason or self.finish_reason
            if refusal := getattr(choice.delta, "refusal", None):
                self.refused.append(refusal)
        return super()._parse_provider_response_delta(response_delta)

    def get_function_calls_to_run(
        self, assistant_message: AgnoMessage, messages: list[AgnoMessage], functions: dict[str, Function] | None = None
    ) -> list[FunctionCall]:
        """The calls of a turn, each with the model's own text as its one argument.

        Agno would make values of texts like "true" and "null" before a tool sees them.
        """
        made = assistant_message.tool_calls or []
        wrapped = assistant_message.model_copy(update={"tool_calls": [_with_raw_arguments(call) for call in made]})
        assistant_message.tool_calls = [_readable(call) for call in made] or None
        return super().get_function_calls_to_run(wrapped, messages, functions)


def _readable(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function") or {}
    return call | {"function": function | {"arguments": as_object(function.get("arguments") or "")}}


def _with_raw_arguments(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function") or {}
    # The space keeps a text such as `null` from being taken for the value, too.
    return call | {"function": function | {"arguments": json.dumps({_RAW: f"{function.get('arguments') or ''}\n…"})}}


def _function(tool: OfferedTool) -> Function:
    return Function(
        name=tool.name,
        description=tool.description,
        parameters=tool.parameters,
        entrypoint=_entrypoint(tool),
        skip_entrypoint_processing=True,
    )


def _entrypoint(tool: OfferedTool) -> Callable[..., Awaitable[str]]:
    async def call(**arguments: Any) -> str:
        return await tool.call(str(arguments[_RAW]).removesuffix("\n…"))

    return call


def _translated(messages: Sequence[Message]) -> list[AgnoMessage]:
    return [_message(message) for message in messages]


def _message(message: Message) -> AgnoMessage:
    match message:
        case UserMessage():
            return AgnoMessage(role="user", content=message.content)
        case AssistantMessage():
            calls = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)},
                }
                for call in message.tool_calls
            ]
            return AgnoMessage(role="assistant", content=message.content or None, tool_calls=calls or None)
        case ToolResult():
            return AgnoMessage(role="tool", content=message.content, tool_call_id=message.tool_call_id)

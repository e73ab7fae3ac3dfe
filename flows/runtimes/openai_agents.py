"""Agents of type `openai`: the OpenAI Agents SDK drives the conversation, in the dialect of chat completions.

Of OpenAI's two dialects it is the one that every provider behind the LLM gateway has a translation for.
"""

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

from agents import (
    Agent,
    FunctionTool,
    Model,
    ModelResponse,
    ModelSettings,
    OpenAIChatCompletionsModel,
    RunConfig,
    Runner,
    Usage,
    set_tracing_disabled,
)
from agents.exceptions import AgentsException, MaxTurnsExceeded, ModelBehaviorError
from httpx import Timeout
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from openai.types.shared import Reasoning

from control_plane.client import is_on_this_machine, trusted
from control_plane.wire.messages import AssistantMessage, Message, ToolResult, UserMessage
from flows.runtimes import model_errors
from flows.runtimes.channel import Channel
from flows.runtimes.finish_reasons import stop_of
from flows.runtimes.malformed_arguments import as_object, as_written
from flows.runtimes.protocol import (
    MODEL_RETRIES,
    ModelEndpoint,
    OfferedTool,
    RunFailed,
    Setup,
    Signal,
    TextChunk,
    ThinkingChunk,
    TurnEnded,
    TurnStarted,
)

# It would send what is said to OpenAI as traces, and write parts of it into its logs.
set_tracing_disabled(disabled=True)
logging.getLogger("openai.agents").disabled = True
logging.getLogger("openai").setLevel(logging.WARNING)

_ANSWER_SECONDS = 600.0
"""The gateway's own limit of a model call."""
_CONNECT_SECONDS = 5.0


class OpenAIAgentsRuntime:
    """See `flows.runtimes.protocol.Runtime`."""

    @asynccontextmanager
    async def open(self, setup: Setup) -> AsyncIterator["_Conversation"]:
        """A conversation with a client of its own."""
        async with _client(setup.endpoint) as client:
            yield _Conversation(setup, client)


def _client(endpoint: ModelEndpoint) -> AsyncOpenAI:
    url = endpoint.openai_url
    http = DefaultAsyncHttpxClient(verify=trusted(), trust_env=not is_on_this_machine(url))
    timeout = Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
    return AsyncOpenAI(
        base_url=url, api_key=endpoint.token, max_retries=MODEL_RETRIES, http_client=http, timeout=timeout
    )


class _Conversation:
    def __init__(self, setup: Setup, client: AsyncOpenAI) -> None:
        self._setup = setup
        self._client = client

    async def stream(self, messages: Sequence[Message], *, turns: int) -> AsyncGenerator[Signal]:
        channel = Channel()
        agent = self._agent(_TellingModel(_Chat(self._setup.model.name, self._client), channel))
        config = RunConfig(tracing_disabled=True, tool_not_found_behavior="return_error_to_model")
        run = Runner.run(agent, [item for m in messages for item in _items(m)], max_turns=turns, run_config=config)
        try:
            async with aclosing(channel.during(run)) as signals:
                async for signal in signals:
                    yield signal
        except MaxTurnsExceeded:
            yield TurnStarted()  # it wants one more than there are
        except Exception as error:
            raise _explained(error) or error from error

    def _agent(self, model: Model) -> Agent[None]:
        planned = self._setup.model
        effort: Any = planned.reasoning_effort
        return Agent(
            name=self._setup.agent,
            instructions=self._setup.instructions or None,
            model=model,
            model_settings=ModelSettings(
                temperature=planned.temperature,
                max_tokens=planned.max_tokens,
                reasoning=Reasoning(effort=effort) if effort else None,
                include_usage=True,
            ),
            tools=[_function(tool) for tool in self._setup.tools],
        )


class _Chat(OpenAIChatCompletionsModel):
    """The SDK's model, with what it drops: why a turn ended."""

    finish_reason: str | None = None

    async def _fetch_response(self, *arguments: Any, **named: Any) -> Any:
        self.finish_reason = None
        response, stream = await super()._fetch_response(*arguments, **named)
        return response, _Watched(stream, self)


class _Watched:
    """A stream of chunks, watched on its way."""

    def __init__(self, stream: Any, chat: _Chat) -> None:
        self._stream = stream
        self._chat = chat

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for chunk in self._stream:
            for choice in chunk.choices:
                self._chat.finish_reason = choice.finish_reason or self._chat.finish_reason
            yield chunk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _TellingModel(Model):
    """Streams each turn into the channel, and gives it to the SDK when it is whole."""

    def __init__(self, chat: _Chat, channel: Channel) -> None:
        self._chat = chat
        self._channel = channel

    async def get_response(self, *arguments: Any, **named: Any) -> ModelResponse:
        """One turn."""
        await self._channel.tell(TurnStarted())
        response: Any = None
        refused = False
        stream: Any = self._chat.stream_response(*arguments, **named)
        async with aclosing(stream) as events:
            async for event in events:
                match event.type:
                    case "response.output_text.delta":
                        await self._channel.tell(TextChunk(event.delta))
                    case "response.refusal.delta":
                        refused = True
                        await self._channel.tell(TextChunk(event.delta))
                    case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                        await self._channel.tell(ThinkingChunk(event.delta))
                    case "response.completed":
                        response = event.response
        used = response.usage if response else None
        ended = TurnEnded(
            input_tokens=used.input_tokens if used else 0,
            output_tokens=used.output_tokens if used else 0,
            stop=stop_of(self._chat.finish_reason, refused=refused and self._chat.finish_reason != "content_filter"),
        )
        await self._channel.tell(ended)
        output = [_readable(item) for item in response.output] if response else []
        return ModelResponse(output=output, usage=Usage(), response_id=None)

    def stream_response(self, *_arguments: Any, **_named: Any) -> AsyncIterator[Any]:
        """Nobody streams past the channel."""
        raise NotImplementedError


def _function(tool: OfferedTool) -> FunctionTool:
    return FunctionTool(
        name=tool.name,
        description=tool.description,
        params_json_schema=tool.parameters,
        on_invoke_tool=_invoked(tool),
        # The SDK would change the schema, and refuse what can't be made strict.
        strict_json_schema=False,
    )


def _invoked(tool: OfferedTool) -> Callable[[Any, str], Awaitable[str]]:
    async def invoke(_context: Any, arguments: str) -> str:
        return await tool.call(as_written(arguments))

    return invoke


def _readable(item: Any) -> Any:
    if item.type != "function_call":
        return item
    return item.model_copy(update={"arguments": as_object(item.arguments)})


def _items(message: Message) -> list[Any]:
    match message:
        case UserMessage():
            return [{"role": "user", "content": message.content}]
        case AssistantMessage():
            said: list[Any] = [{"role": "assistant", "content": message.content}] if message.content else []
            calls = [
                {
                    "type": "function_call",
                    "call_id": call.id,
                    "name": call.name,
                    "arguments": json.dumps(call.arguments, ensure_ascii=False),
                }
                for call in message.tool_calls
            ]
            return [*said, *calls]
        case ToolResult():
            return [{"type": "function_call_output", "call_id": message.tool_call_id, "output": message.content}]


def _explained(error: Exception) -> RunFailed | None:
    if known := model_errors.explained(error):
        return known
    if isinstance(error, ModelBehaviorError):
        return RunFailed(f"The model answered what the runtime can't make sense of: {error}", code="model_misbehaved")
    if isinstance(error, AgentsException):
        return RunFailed(f"The runtime stopped: {error}", code="runtime_stopped")
    return None

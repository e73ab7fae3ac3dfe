"""One conversation of an agent, whatever its runtime: what is told of it, its history, its usage and its limits."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any
from uuid import uuid4

from pydantic import JsonValue

from control_plane.wire.executions import EventType, Usage
from control_plane.wire.mending import mended
from control_plane.wire.messages import AssistantMessage, Message, ToolCall, ToolResult, UserMessage
from flows.exits import surviving
from flows.runtimes.protocol import (
    Conversation,
    Emit,
    GovernedTool,
    OfferedTool,
    RunFailed,
    Signal,
    Stop,
    TextChunk,
    ThinkingChunk,
    TurnEnded,
    TurnStarted,
)


class Dialogue:
    """Tells what happens in a conversation and remembers it. `usage` holds however the conversation ends."""

    def __init__(
        self, tools: Sequence[GovernedTool], *, emit: Emit, max_turns: int, history: Sequence[Message]
    ) -> None:
        self.usage = Usage()
        self.tools = [self._offered(tool) for tool in tools]
        self._emit = emit
        self._max_turns = max_turns
        self._history = list(history)
        self._turn = _Turn()
        self._turn_over = asyncio.Event()
        self._broken: asyncio.Future[Exception] | None = None

    @property
    def messages(self) -> list[Message]:
        """The conversation so far. A call that was never answered isn't part of it."""
        return [*self._history, *self._turn.messages()]

    async def say(self, conversation: Conversation, text: str) -> str:
        """Say something to the agent, and let it work until it answers. Raises `RunFailed`."""
        self._keep()
        self._history.append(UserMessage(content=text))
        self._broken = asyncio.get_running_loop().create_future()
        listening = asyncio.create_task(surviving(self._listen(conversation)), name="conversation")
        try:
            waited_for: set[asyncio.Future[Any]] = {listening, self._broken}
            await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
        finally:
            listening.cancel()
            await asyncio.wait({listening})
        if self._broken.done():
            raise self._broken.result()
        await listening
        return self._turn.text

    async def _listen(self, conversation: Conversation) -> None:
        left = self._max_turns - self.usage.model_turns
        async with aclosing(conversation.stream(self.messages, turns=left)) as signals:
            async for signal in signals:
                await self._take(signal)

    async def _take(self, signal: Signal) -> None:
        match signal:
            case TurnStarted():
                self._begin()
            case TextChunk(content=content) if content:
                self._turn.pieces.append(content)
                await self._chunk(EventType.MESSAGE_CHUNK, content)
            case ThinkingChunk(content=content) if content:
                await self._chunk(EventType.THINKING_CHUNK, content)
            case TurnEnded():
                await self._end(signal)

    def _begin(self) -> None:
        if self.usage.model_turns >= self._max_turns:
            raise RunFailed(
                f"The agent used all of its {self._max_turns} model turns without coming to an end. Ask for less at"
                " once, give it clearer instructions, or raise its limits.max_turns.",
                code="max_turns",
            )
        self._keep()
        self._turn_over.clear()
        self.usage = self.usage.model_copy(update={"model_turns": self.usage.model_turns + 1})

    async def _end(self, turn: TurnEnded) -> None:
        self.usage = self.usage.model_copy(
            update={
                "input_tokens": self.usage.input_tokens + turn.input_tokens,
                "output_tokens": self.usage.output_tokens + turn.output_tokens,
            }
        )
        await self._emit(EventType.USAGE, {"data": self.usage.model_dump()})
        if self._turn.pieces:
            message = {"role": "assistant", "content": self._turn.text, "message_id": self._turn.message_id}
            await self._emit(EventType.MESSAGE, message)
        if turn.stop is not Stop.END:
            raise _stopped(turn.stop, self._turn.text)
        self._turn_over.set()

    async def _chunk(self, kind: EventType, content: str) -> None:
        await self._emit(kind, {"data": {"content": content, "message_id": self._turn.message_id}})

    def _keep(self) -> None:
        """Make the turn a part of the history."""
        self._history += self._turn.messages()
        self._turn = _Turn()

    def _offered(self, tool: GovernedTool) -> OfferedTool:
        async def call(arguments: str | Mapping[str, Any]) -> str:
            # Whatever order a runtime keeps: a tool runs when what the model has said with it has been told.
            await self._turn_over.wait()
            try:
                return await self._call(tool, arguments)
            except Exception as error:
                # A governed tool raises only when the execution can't go on, but a runtime would tell the model and go
                # on: it gets no answer.
                if self._broken and not self._broken.done():
                    self._broken.set_result(error)
                await asyncio.get_running_loop().create_future()
                raise

        return OfferedTool(name=tool.name, description=tool.description, parameters=tool.parameters, call=call)

    async def _call(self, tool: GovernedTool, arguments: str | Mapping[str, Any]) -> str:
        turn, call_id = self._turn, f"call_{uuid4().hex}"
        try:
            parsed = _parsed(arguments)
        except ValueError as error:
            turn.calls.append(ToolCall(id=call_id, name=tool.name))
            answer = await self._refused(tool, str(error))
        else:
            turn.calls.append(ToolCall(id=call_id, name=tool.name, arguments=mended(parsed)))
            answer = await tool.call(parsed)
        turn.results.append(ToolResult(tool_call_id=call_id, content=answer))
        return answer

    async def _refused(self, tool: GovernedTool, problem: str) -> str:
        """A call that can't even be asked about is told like one that failed."""
        output: dict[str, JsonValue] = {
            "error": f"The arguments of {tool.name} are not a JSON object: {problem}. Call it again with one."
        }
        told: dict[str, JsonValue] = {"tool_name": tool.name, "tool_execution_id": str(uuid4())}
        await self._emit(EventType.TOOL_COMPLETED, {"data": {**told, "tool_status": "failed", "tool_output": output}})
        return json.dumps(output, ensure_ascii=False)


class _Turn:
    """One turn of the model, with the calls that it made and what came of them."""

    def __init__(self) -> None:
        self.message_id = str(uuid4())
        self.pieces: list[str] = []
        self.calls: list[ToolCall] = []
        self.results: list[ToolResult] = []

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def messages(self) -> list[Message]:
        answered = {result.tool_call_id for result in self.results}
        calls = tuple(call for call in self.calls if call.id in answered)
        if not self.pieces and not calls:
            return []
        return [AssistantMessage(content=self.text, tool_calls=calls), *self.results]


def _parsed(arguments: str | Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as an object. Raises `ValueError`. No text at all means that there are none."""
    if isinstance(arguments, Mapping):
        return dict(arguments)
    if not arguments.strip():
        return {}
    try:
        parsed = json.loads(arguments)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(parsed, dict):
        raise ValueError(f"it is {_JSON_NAMES[type(parsed)]}")  # noqa: TRY004 - of what the model wrote
    return parsed


_JSON_NAMES = {list: "a list", str: "a text", int: "a number", float: "a number", bool: "a boolean", type(None): "null"}


def _stopped(stop: Stop, said: str) -> RunFailed:
    match stop:
        case Stop.LENGTH:
            return RunFailed(
                "The model's answer was cut off because it reached the most tokens that it may have. Raise"
                " llm_config.max_tokens, or ask for less at once.",
                code="output_limit",
            )
        case Stop.FILTER:
            return RunFailed(
                "A content filter of the model's provider stopped the answer. Word the request or the instructions"
                " differently, or use another model.",
                code="content_filter",
            )
        case _:
            reason = f": {said.strip()}" if said.strip() else "."
            return RunFailed(
                f"The model refused to answer{reason} Word the request or the instructions differently, or use another"
                " model.",
                code="model_refused",
            )

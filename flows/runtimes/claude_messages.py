"""What Claude Code tells, read as signals."""

import asyncio
import re
from collections.abc import Iterator, Mapping
from typing import Any

from claude_agent_sdk import AssistantMessage, ResultMessage, StreamEvent, SystemMessage, ToolUseBlock

from flows.runtimes import model_errors
from flows.runtimes.protocol import (
    LONGEST_RETRY_AFTER_SECONDS,
    OfferedTool,
    RunFailed,
    Signal,
    Stop,
    TextChunk,
    ThinkingChunk,
    TurnEnded,
    TurnStarted,
)

_UNPARSED = "__unparsedToolInput"
"""The one argument of a call whose arguments are no JSON. Claude Code tells the model so, without calling anything."""

_STOPS = {"max_tokens": Stop.LENGTH, "model_context_window_exceeded": Stop.LENGTH, "refusal": Stop.REFUSAL}

_BEFORE_ITS_WORDS = re.compile(r"^(?:[A-Z][\w ]+\. )?API Error: (?:Request rejected \(\d+\) · |\d+ )?")
"""What Claude Code writes before the gateway's own words."""

_CODE = re.compile(r"\s*\[([a-z_]+)\]$")
"""The gateway's code, which it writes behind its words: Claude Code drops all else of an error."""

_CODES = {
    401: "unauthenticated",
    402: "budget_exceeded",
    404: "model_not_found",
    429: "rate_limited",
    529: "overloaded",
}


class Reader:
    """Reads one conversation. `turn_of` keeps a call waiting until what the model says with it has been taken in."""

    def __init__(self, tools: Mapping[str, OfferedTool]) -> None:
        self._tools = tools
        self._asked = False
        self._answering = False
        self._stop: Stop | None = None
        self._input_tokens = 0
        self._output_tokens = 0
        self._calls: set[str] = set()
        self._malformed: list[tuple[str, str]] = []
        self._callable: set[str] = set()
        self._ended = False
        self._changed = asyncio.Condition()

    async def turn_of(self, call_id: str) -> None:
        """Return when the turn that this call belongs to has ended, and its end has been taken in."""
        async with self._changed:
            await self._changed.wait_for(lambda: call_id in self._callable)

    async def taken(self) -> None:
        """All signals read so far have been taken in."""
        if not self._ended:
            return
        self._ended = False
        for name, arguments in self._malformed:
            if name in self._tools:
                await self._tools[name].call(arguments)
        self._malformed = []
        async with self._changed:
            self._callable |= self._calls
            self._changed.notify_all()
        self._calls = set()

    def read(self, message: Any) -> Iterator[Signal]:
        """What a message means. Raises `RunFailed`."""
        match message:
            case StreamEvent(parent_tool_use_id=None):
                yield from self._event(message.event)
            case SystemMessage(subtype="status") if message.data.get("status") == "requesting":
                yield from self._begin()
            case SystemMessage(subtype="api_retry"):
                self._retry(message.data)
            case AssistantMessage():
                self._note_malformed(message)
            case ResultMessage():
                yield from self._result(message)

    def _begin(self) -> Iterator[Signal]:
        if not self._asked:
            self._asked = True
            yield TurnStarted()

    def _event(self, event: dict[str, Any]) -> Iterator[Signal]:
        match event:
            case {"type": "message_start", "message": message}:
                if self._answering:  # it asked again, in place of an answer that has no end
                    raise model_errors.cut_off()
                yield from self._begin()
                self._answering, self._stop = True, None
                self._input_tokens = self._output_tokens = 0
                self._count(message.get("usage"))
            case {"type": "content_block_start", "content_block": {"type": "tool_use", "id": str(call_id)}}:
                self._calls.add(call_id)
            case {"type": "content_block_delta", "delta": {"type": "text_delta", "text": str(text)}}:
                yield TextChunk(text)
            case {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": str(text)}}:
                yield ThinkingChunk(text)
            case {"type": "message_delta", "delta": delta}:
                self._stop = _STOPS.get(delta.get("stop_reason") or "", Stop.END)
                self._count(event.get("usage"))
            case {"type": "message_stop"}:
                if self._stop is None:  # Claude Code writes an end of its own where there was none
                    raise model_errors.cut_off()
                self._asked = self._answering = False
                self._ended = True
                yield TurnEnded(input_tokens=self._input_tokens, output_tokens=self._output_tokens, stop=self._stop)

    def _count(self, usage: dict[str, Any] | None) -> None:
        """Providers say it at the beginning, at the end, or both: what is said last counts, unless it is nothing."""
        counted = {name: value for name, value in (usage or {}).items() if isinstance(value, int)}
        inputs = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        self._input_tokens = sum(counted.get(name, 0) for name in inputs) or self._input_tokens
        self._output_tokens = counted.get("output_tokens") or self._output_tokens

    def _retry(self, data: Mapping[str, Any]) -> None:
        if self._answering:
            raise model_errors.cut_off()
        seconds = (data.get("retry_delay_ms") or 0) / 1000
        if seconds > LONGEST_RETRY_AFTER_SECONDS:
            raise model_errors.failed(
                f"the provider asks to wait for {seconds:.0f} s. Start the execution again then, or use another model.",
                code=_CODES.get(data.get("error_status") or 0, "unavailable"),
            )

    def _note_malformed(self, message: AssistantMessage) -> None:
        for block in message.content:
            if isinstance(block, ToolUseBlock) and _UNPARSED in (block.input or {}):
                raw = block.input[_UNPARSED]
                self._malformed.append((block.name, str(raw.get("raw", "")) if isinstance(raw, dict) else str(raw)))

    def _result(self, result: ResultMessage) -> Iterator[Signal]:
        if result.subtype == "error_max_turns":
            yield TurnStarted()  # it wants one more than there are
        if self._answering:
            raise model_errors.cut_off()
        if result.is_error:
            raise _failure(result)


def _failure(result: ResultMessage) -> RunFailed:
    if result.terminal_reason == "prompt_too_long":
        return model_errors.failed(
            "the conversation is too long for the model. Shorten it, or use a model that reads more.",
            code="context_too_long",
        )
    said = _BEFORE_ITS_WORDS.sub("", result.result or "; ".join(result.errors or ()))
    status = result.api_error_status
    if status is None and not _CODE.search(said):
        return (
            model_errors.unreachable() if "API Error" in (result.result or "") else model_errors.failed(said, code=None)
        )
    code = found.group(1) if (found := _CODE.search(said)) else _CODES.get(status or 0, "model_call_failed")
    return model_errors.failed(_CODE.sub("", said), code=code)

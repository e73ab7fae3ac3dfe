"""What a runtime is: it drives a model through a conversation, and acts only through the tools it is given.

A runtime translates: from our messages and tools to those of its SDK, and from what its SDK tells to `Signal`s. All
else is done once for all runtimes by `flows.dialogue`: events, usage, the limit of turns, the history, what a cut or
refused answer means. `docs/runtimes.md` shows how to write one.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from control_plane.wire.executions import EventType
from control_plane.wire.messages import Message
from control_plane.wire.plan import ModelPlan

Emit = Callable[[EventType, dict[str, Any]], Awaitable[None]]
"""Report one event. Raises if the execution isn't ours any more; let that pass."""

MODEL_RETRIES = 6
"""Of one model call, for answers that say «later» and for none. With the usual back-off (0.5 s, doubling up to 8 s)
that takes some 20 s in all: a restart of the control plane takes seconds. A model call has no effect on the world."""

LONGEST_RETRY_AFTER_SECONDS = 60
"""A provider that asks for more patience fails the execution: somebody may have a better idea than to wait."""


class RunFailed(Exception):
    """The execution can't succeed. `str()` tells people what happened and what to do; `code` is for programs."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class ModelEndpoint:
    """The LLM gateway as this execution reaches it, in the dialects of OpenAI and Anthropic."""

    openai_url: str
    anthropic_url: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class GovernedTool:
    """A tool behind policy. `call` takes the model's arguments and answers in text, also where the tool failed."""

    name: str
    description: str
    parameters: dict[str, Any]
    call: Callable[[Mapping[str, Any]], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool as a runtime gets it. `parameters` is a JSON Schema.

    `call` takes the arguments as the model wrote them, best as its very JSON text, and answers with what the model is
    to read, also where the tool failed or the text is no JSON object. It runs the tool once `TurnEnded` has been taken
    in. It raises only when the execution can't go on: let that pass, or stop; the conversation ends either way.
    """

    name: str
    description: str
    parameters: dict[str, Any]
    call: Callable[[str | Mapping[str, Any]], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Setup:
    """What a conversation is opened with. `folder` is for files of the runtime's own; no tool sees it."""

    agent: str
    instructions: str
    model: ModelPlan
    tools: Sequence[OfferedTool]
    endpoint: ModelEndpoint
    folder: Path


class Stop(StrEnum):
    """Why a turn of the model ended."""

    END = "end"
    """It said what it had to say, or called tools."""
    LENGTH = "length"
    """It used all the tokens of an answer."""
    REFUSAL = "refusal"
    """It declined."""
    FILTER = "filter"
    """A content filter stopped it."""


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The model is asked: the runtime says so before the call where it can."""


@dataclass(frozen=True, slots=True)
class TextChunk:
    """A part of what the model says."""

    content: str


@dataclass(frozen=True, slots=True)
class ThinkingChunk:
    """A part of what the model thinks, where it shows that."""

    content: str


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The model has answered. `input_tokens` counts cached ones too."""

    input_tokens: int = 0
    output_tokens: int = 0
    stop: Stop = Stop.END


Signal = TurnStarted | TextChunk | ThinkingChunk | TurnEnded


class Conversation(Protocol):
    """An open conversation."""

    def stream(self, messages: Sequence[Message], *, turns: int) -> AsyncGenerator[Signal]:
        """Go on from these messages, of which the last is the user's, until the model calls no more tools.

        Each turn is `TurnStarted`, chunks, `TurnEnded`. `turns` is how many are left, for a runtime that has to be
        told; one that asks for more may say `TurnStarted` once more. Closing the generator, as cancelling the task that
        reads it, stops the model and everything else at once. It may be called again after it has ended, with what the
        conversation has become. Raises `RunFailed`.
        """


class Runtime(Protocol):
    """A way to drive agents of one `agent_type`. Made without arguments, once in a process."""

    def open(self, setup: Setup) -> AbstractAsyncContextManager[Conversation]:
        """A conversation, with what it needs until the block ends. Raises `RunFailed`."""

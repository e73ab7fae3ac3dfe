"""What a runtime is: it drives a model through an agent's conversation, and acts only through the tools it is given."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, Protocol

from control_plane.wire.executions import EventType, Usage
from control_plane.wire.plan import Plan

ENTRY_POINT_GROUP = "control_plane.runtimes"

Emit = Callable[[EventType, dict[str, Any]], Awaitable[None]]
"""Report one event. Raises if the execution isn't ours any more; let that pass."""


class RunFailed(Exception):
    """The execution can't succeed. `str()` tells people what happened and what to do; `code` is for programs."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class ModelEndpoint:
    """The LLM gateway as this execution reaches it. `openai_url` speaks the OpenAI dialect."""

    openai_url: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class GovernedTool:
    """A tool behind policy. `call` takes the model's arguments and answers in text, also where the tool failed."""

    name: str
    description: str
    parameters: dict[str, Any]
    call: Callable[[Mapping[str, Any]], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a conversation ended."""

    response: str
    usage: Usage


class Runtime(Protocol):
    """Carries out one plan. Cancelling the task it runs in stops the model call and everything else at once."""

    async def run(self, plan: Plan, *, tools: Sequence[GovernedTool], endpoint: ModelEndpoint, emit: Emit) -> RunResult:
        """Drive the conversation to its end, emitting messages and usage. Raises `RunFailed`."""


def load(agent_type: str) -> Runtime:
    """The runtime for an agent type. Raises `RunFailed` naming those that are installed.

    Loads it, which is foreign code and may take its time.
    """
    found = {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}
    if agent_type not in found:
        raise RunFailed(
            f"This worker has no runtime for agents of type {agent_type!r}. Installed are:"
            f" {', '.join(sorted(found)) or 'none'}.",
            code="runtime_not_found",
        )
    try:
        runtime: Runtime = found[agent_type].load()()
    except (Exception, SystemExit) as error:
        raise RunFailed(
            f"The runtime for agents of type {agent_type!r} is installed on this worker but broken:"
            f" {type(error).__name__}: {error}",
            code="runtime_broken",
        ) from error
    return runtime

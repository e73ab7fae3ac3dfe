"""One call of a tool as a Prefect task: its time, its second attempts, and how it ended."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import JsonValue
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, stop_before_delay

from flows.origin import origin
from toolsets import Retryable, Tool, ToolContext, ToolFailed

logger = logging.getLogger(__name__)

MOST_ATTEMPTS = 3
"""Of a call that only reads and says that it may succeed in a moment."""

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
"""Whoever asks for more patience than that is better told to the model."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a call ended: with a result, or with an error, which is for the model."""

    status: Literal["completed", "failed"]
    result: JsonValue = None
    error: str = ""


async def run(tool: Tool, context: ToolContext, arguments: Mapping[str, JsonValue], *, seconds: float) -> Ran:
    """Run the tool. What it takes, returns and raises stays here and never reaches Prefect."""
    outcome: list[Ran] = []

    async def run_once() -> State[Any]:
        ran = await _attempted(tool, context, arguments, seconds=seconds)
        outcome.append(ran)
        if ran.status == "completed":
            return Completed()
        return Failed(message="The tool failed; the execution's events say why.")

    task: Task[[], Any] = Task(
        run_once,
        name=tool.name,
        task_run_name=tool.name,
        description=None,
        persist_result=False,
        cache_policy=NO_CACHE,
        retries=0,
        log_prints=False,
    )
    running: Any = task(return_state=True)
    await running
    if not outcome:
        return Ran("failed", error=f"{tool.name} was not run: Prefect did not start its task.")
    return outcome[0]


async def _attempted(tool: Tool, context: ToolContext, arguments: Mapping[str, JsonValue], *, seconds: float) -> Ran:
    try:
        async with asyncio.timeout(seconds) as limit:
            return Ran("completed", result=await _with_patience(tool, context, arguments, seconds=seconds))
    except ToolFailed as failure:
        return Ran("failed", error=str(failure))
    except (Exception, SystemExit, asyncio.CancelledError) as error:
        if _is_cancelled(error):
            raise
        # A tool's own TimeoutError is a failure like any other. A thread can't be stopped, only left alone.
        if limit.expired():
            text = f"{tool.name} took longer than {seconds:g} s. What it had begun may still take effect."
        else:
            logger.error("the tool %s has a bug\n%s", tool.name, origin(error))  # noqa: TRY400 - not its text
            text = f"{tool.name} failed unexpectedly; the worker's log says why."
        return Ran("failed", error=text)


async def _with_patience(
    tool: Tool, context: ToolContext, arguments: Mapping[str, JsonValue], *, seconds: float
) -> JsonValue:
    if tool.effect != "read":
        return await tool.call(context, arguments)
    result: JsonValue = await AsyncRetrying(
        retry=retry_if_exception_type(Retryable),
        stop=stop_after_attempt(MOST_ATTEMPTS) | stop_before_delay(seconds),
        wait=_pause,
        reraise=True,
    )(tool.call, context, arguments)
    return result


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = (isinstance(error, Retryable) and error.after_seconds) or 0.0
    return min(max(FIRST_PAUSE_SECONDS * 2.0 ** (state.attempt_number - 1), asked), LONGEST_PAUSE_SECONDS)


def _is_cancelled(error: BaseException) -> bool:
    """Whether we are to stop; a tool may also raise this error by itself, which is a bug of the tool."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0

"""The scripted models as a LiteLLM provider, so that they are reached the way every other model is.

Imported only when LiteLLM is, which takes seconds.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any
from uuid import uuid4

import litellm
from litellm.llms.custom_llm import CustomLLM, CustomLLMError
from litellm.types.utils import (
    ChatCompletionMessageToolCall,
    Choices,
    Function,
    GenericStreamingChunk,
    Message,
    ModelResponse,
    Usage,
)
from litellm.utils import custom_llm_setup

from control_plane.llm.assistant import assistant
from control_plane.llm.conversation import Conversation
from control_plane.llm.script import script
from control_plane.llm.turns import ScriptProblem, Turn, compact, count_tokens, pieces

PROVIDER = "scripted"

MODELS: dict[str, Callable[[Conversation], Turn]] = {"assistant": assistant, "script": script}


class Refusal(CustomLLMError):
    """A scripted model refuses. Raise it from its `ScriptProblem`, whose code LiteLLM would lose."""

    def __init__(self, problem: ScriptProblem) -> None:
        super().__init__(problem.status, str(problem))  # type: ignore[no-untyped-call]


def register() -> None:
    """Make `scripted/…` known to LiteLLM."""
    litellm.custom_provider_map = [{"provider": PROVIDER, "custom_handler": ScriptedProvider()}]
    custom_llm_setup()  # type: ignore[no-untyped-call] # or LiteLLM would do it in the first call of the process


class ScriptedProvider(CustomLLM):
    """LiteLLM's hooks for a provider of one's own."""

    async def acompletion(self, *_: Any, **call: Any) -> ModelResponse:
        """Answer at once."""
        turn = await _turn(call)
        _raise_failure(turn)
        tool_calls = [
            ChatCompletionMessageToolCall(
                id=f"call_{uuid4().hex}", type="function", function=Function(name=use.name, arguments=use.arguments)
            )
            for use in turn.tool_uses
        ]
        usage: dict[str, Any] = {**_usage(call["messages"], turn)}
        message = Message(role="assistant", content=turn.text or None, tool_calls=tool_calls or None)
        return ModelResponse(
            id=f"chatcmpl-{uuid4().hex}",
            created=int(time.time()),
            model=call["model"],
            choices=[Choices(index=0, finish_reason=_finish_reason(turn), message=message)],
            usage=Usage(**usage),
        )

    async def astreaming(  # type: ignore[override] # LiteLLM iterates over what it returns, without awaiting it
        self, *_: Any, **call: Any
    ) -> AsyncIterator[GenericStreamingChunk]:
        """Answer word by word."""
        turn = await _turn(call)
        for piece in pieces(turn.text):
            yield _chunk(text=piece)
            await asyncio.sleep(turn.seconds_a_piece)
        _raise_failure(turn)
        for index, use in enumerate(turn.tool_uses):
            yield _chunk(
                tool_use={
                    "id": f"call_{uuid4().hex}",
                    "type": "function",
                    "function": {"name": use.name, "arguments": use.arguments},
                    "index": index,
                }
            )
        yield _chunk(finish_reason=_finish_reason(turn), usage=_usage(call["messages"], turn))


async def _turn(call: Mapping[str, Any]) -> Turn:
    model = MODELS.get(call["model"])
    if model is None:
        known = ", ".join(f"{PROVIDER}/{name}" for name in MODELS)
        problem = ScriptProblem(
            f"There is no model {PROVIDER}/{call['model']}. Built in are: {known}.", status=404, code="model_not_found"
        )
        raise Refusal(problem) from problem
    tools = (call.get("optional_params") or {}).get("tools") or []
    try:
        # In a thread: a request with thousands of tools must not keep the event loop from everybody else.
        turn = await asyncio.to_thread(lambda: model(Conversation.of(call["messages"], tools)))
    except ScriptProblem as problem:
        raise Refusal(problem) from problem
    await asyncio.sleep(turn.delay_seconds)
    return turn


def _raise_failure(turn: Turn) -> None:
    if turn.failure:
        raise Refusal(turn.failure) from turn.failure


def _chunk(
    *, text: str = "", tool_use: Any = None, finish_reason: str = "", usage: Any = None
) -> GenericStreamingChunk:
    return GenericStreamingChunk(
        text=text,
        tool_use=tool_use,
        is_finished=bool(finish_reason),
        finish_reason=finish_reason,
        usage=usage,
        index=0,
    )


def _finish_reason(turn: Turn) -> str:
    return "tool_calls" if turn.tool_uses else "stop"


def _usage(messages: Sequence[Mapping[str, Any]], turn: Turn) -> dict[str, int]:
    prompt = count_tokens(compact(messages))
    completion = count_tokens(turn.text + "".join(use.name + use.arguments for use in turn.tool_uses))
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

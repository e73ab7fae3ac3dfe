"""`/llm/openai/v1`: the LLM gateway in the OpenAI dialect, for the one model that an execution may call."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Body
from fastapi.responses import JSONResponse, Response, StreamingResponse

from control_plane.auth.dependencies import MayCallModels
from control_plane.llm import gateway
from control_plane.llm.errors import ModelError

router = APIRouter(prefix="/llm/openai/v1", tags=["LLM gateway"])

_PASSED_ON = frozenset(
    {
        "messages", "tools", "tool_choice", "parallel_tool_calls", "temperature", "top_p", "max_tokens",
        "max_completion_tokens", "stop", "seed", "response_format", "reasoning_effort", "presence_penalty",
        "frequency_penalty", "n", "logprobs", "top_logprobs", "stream_options", "verbosity",
    }
)  # fmt: skip
"""What a caller may say. Anything else could steer LiteLLM itself: base_url, api_key, mock_response, callbacks…"""


@router.post("/chat/completions", response_model=None)
async def create_chat_completion(request: Annotated[dict[str, Any], Body()], caller: MayCallModels) -> Response:
    """Chat completions, as OpenAI's API offers them: whole, or as server-sent events with `"stream": true`."""
    asked = request.get("model")
    if asked != caller.model:
        return _error(
            ModelError(
                f"This execution may call the model {caller.model} and no other; the request asks for {asked}.",
                status=403,
                code="model_not_allowed",
            )
        )
    if not isinstance(request.get("messages"), list) or not request["messages"]:
        return _error(ModelError("`messages` must be a list of at least one message.", status=400, code="bad_request"))
    passed = {name: value for name, value in request.items() if name in _PASSED_ON} | {"model": caller.model}
    try:
        if not request.get("stream"):
            passed.pop("stream_options", None)
            return JSONResponse(await gateway.complete(passed))
        chunks = gateway.stream(passed)
        # Waited for here, so that what goes wrong at the start has a status of its own.
        first = await anext(chunks)
    except ModelError as error:
        return _error(error)
    return StreamingResponse(_events(first, chunks), media_type="text/event-stream")


@router.get("/models")
async def list_models(caller: MayCallModels) -> dict[str, Any]:
    """The model that this execution may call."""
    provider = caller.model.split("/", 1)[0]
    return {"object": "list", "data": [{"id": caller.model, "object": "model", "created": 0, "owned_by": provider}]}


async def _events(first: dict[str, Any], chunks: AsyncGenerator[dict[str, Any]]) -> AsyncIterator[str]:
    async with aclosing(chunks):
        yield _data(first)
        try:
            async for chunk in chunks:
                yield _data(chunk)
        except ModelError as error:
            yield _data(error.body())
            return
        yield "data: [DONE]\n\n"


def _data(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n\n"


def _error(error: ModelError) -> JSONResponse:
    return JSONResponse(error.body(), status_code=error.status, headers=error.headers)

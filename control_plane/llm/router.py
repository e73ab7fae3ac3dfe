"""`/llm/openai/v1`: the LLM gateway in the OpenAI dialect, for the one model that an execution may call."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from control_plane.auth.dependencies import MayCallModels
from control_plane.llm import gateway
from control_plane.llm.errors import ModelError
from control_plane.llm.openai_route import OpenAIRoute, while_connected
from control_plane.llm.schemas import OpenAIErrorRead
from control_plane.problems import BodyTooLarge, Problem, TooManyRequests, Unavailable, problems


def _errors(status: int | str, description: str, *also: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """An error in OpenAI's shape. `also` are those that are answered before the request gets here."""
    content = problems(*also)[int(status)]["content"] if also else {}
    return {status: {"model": OpenAIErrorRead, "description": description, "content": content}}


router = APIRouter(
    prefix="/llm/openai/v1",
    tags=["LLM gateway"],
    route_class=OpenAIRoute,
    responses=problems(BodyTooLarge)
    | _errors(401, "The execution token is missing, unknown or expired.")
    | _errors(403, "Only an execution token opens this, and only for the one model of its execution.")
    | _errors(429, "The provider, or this server, limits the rate. `Retry-After` says when to repeat.", TooManyRequests)
    | _errors(503, "The provider, or the database, doesn't answer at the moment.", Unavailable),
)

_OF_PROVIDERS = _errors(400, "The body isn't a request, or the provider's key is missing.") | _errors(
    "4XX", "The provider refused the request, with this status."
)

_PASSED_ON = frozenset(
    {
        "messages", "tools", "tool_choice", "parallel_tool_calls", "temperature", "top_p", "max_tokens",
        "max_completion_tokens", "stop", "seed", "response_format", "reasoning_effort", "presence_penalty",
        "frequency_penalty", "n", "logprobs", "top_logprobs", "stream_options", "verbosity",
    }
)  # fmt: skip
"""What a caller may say. Anything else could steer LiteLLM itself: base_url, api_key, mock_response, callbacks…"""


@router.post("/chat/completions", response_model=None, responses=_OF_PROVIDERS)
async def create_chat_completion(
    request: Request, body: Annotated[dict[str, Any], Body()], caller: MayCallModels
) -> Response:
    """Chat completions, as OpenAI's API offers them: whole, or as server-sent events with `"stream": true`."""
    asked = body.get("model")
    if asked != caller.model:
        raise ModelError(
            f"This execution may call the model {caller.model} and no other; the request asks for {asked}.",
            status=403,
            code="model_not_allowed",
        )
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        raise ModelError("`messages` must be a list of at least one message.", status=400, code="bad_request")
    passed = {name: value for name, value in body.items() if name in _PASSED_ON} | {"model": caller.model}
    if not body.get("stream"):
        passed.pop("stream_options", None)
        return JSONResponse(await while_connected(request, gateway.complete(passed)))
    chunks = gateway.stream(passed)
    # Waited for here, so that what goes wrong at the start has a status of its own.
    first = await while_connected(request, anext(chunks))
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

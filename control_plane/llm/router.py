"""`/llm/openai/v1`: the LLM gateway in OpenAI's dialects, for the one model that an execution may call."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from fastapi.responses import Response

from control_plane.auth.dependencies import MayCallModels
from control_plane.llm.answers import ModelGateway, answer
from control_plane.llm.dialect_route import OpenAIRoute
from control_plane.llm.dialects import CHAT_COMPLETIONS, RESPONSES
from control_plane.llm.requests import checked
from control_plane.llm.schemas import OPENAI_ERRORS, OPENAI_REFUSALS

router = APIRouter(prefix="/llm/openai/v1", tags=["LLM gateway"], route_class=OpenAIRoute, responses=OPENAI_ERRORS)

Asked = Annotated[dict[str, Any], Body()]


@router.post("/chat/completions", response_model=None, responses=OPENAI_REFUSALS)
async def create_chat_completion(
    request: Request, body: Asked, caller: MayCallModels, gateway: ModelGateway
) -> Response:
    """Chat completions, as OpenAI's API offers them: whole, or as server-sent events with `"stream": true`."""
    return await answer(request, body, gateway=gateway, call=checked(request, body, caller, CHAT_COMPLETIONS))


@router.post("/responses", response_model=None, responses=OPENAI_REFUSALS)
async def create_model_response(
    request: Request, body: Asked, caller: MayCallModels, gateway: ModelGateway
) -> Response:
    """Responses, as OpenAI's API offers them. Send all items with each request: none are kept here."""
    return await answer(request, body, gateway=gateway, call=checked(request, body, caller, RESPONSES))


@router.get("/models")
async def list_models(caller: MayCallModels) -> dict[str, Any]:
    """The model that this execution may call."""
    provider = caller.model.split("/", 1)[0]
    return {"object": "list", "data": [{"id": caller.model, "object": "model", "created": 0, "owned_by": provider}]}

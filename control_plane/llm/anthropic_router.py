"""`/llm/anthropic/v1`: the LLM gateway in Anthropic's dialect, for the one model that an execution may call."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from fastapi.responses import Response

from control_plane.auth.dependencies import MayCallModels
from control_plane.llm.answers import ModelGateway, answer
from control_plane.llm.dialect_route import AnthropicRoute
from control_plane.llm.dialects import MESSAGES
from control_plane.llm.requests import checked
from control_plane.llm.schemas import ANTHROPIC_ERRORS, ANTHROPIC_REFUSALS, TokenCountRead

router = APIRouter(
    prefix="/llm/anthropic/v1", tags=["LLM gateway"], route_class=AnthropicRoute, responses=ANTHROPIC_ERRORS
)

Asked = Annotated[dict[str, Any], Body()]


@router.post("/messages", response_model=None, responses=ANTHROPIC_REFUSALS)
async def create_message(request: Request, body: Asked, caller: MayCallModels, gateway: ModelGateway) -> Response:
    """Messages, as Anthropic's API offers them: whole, or as server-sent events with `"stream": true`."""
    return await answer(request, body, gateway=gateway, call=checked(request, body, caller, MESSAGES))


@router.post("/messages/count_tokens", responses=ANTHROPIC_REFUSALS)
async def count_message_tokens(
    request: Request, body: Asked, caller: MayCallModels, gateway: ModelGateway
) -> TokenCountRead:
    """How many tokens a request has: what Anthropic counts for its own models, an estimate for all others."""
    return TokenCountRead(input_tokens=await gateway.count_tokens(checked(request, body, caller, MESSAGES)))

"""`/environments/{id}/mcp`: the agents of an environment as tools of the Model Context Protocol."""

import json
from functools import partial
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from control_plane.agent_tools import calls
from control_plane.agent_tools.calls import Refused, Waiter
from control_plane.agent_tools.conversation import Conversation
from control_plane.agent_tools.server import HandedOver, McpServer
from control_plane.auth.dependencies import Db, MayStartExecutions, StillValid
from control_plane.db import after_commit
from control_plane.environments import service as environments
from control_plane.executions.router import Dispatch
from control_plane.problems import Invalid
from control_plane.transactions import TenantRoute

router = APIRouter(prefix="/environments", tags=["agents as MCP tools"], route_class=TenantRoute)


@router.post("/{environment_id}/mcp", include_in_schema=False)
async def speak_mcp(
    environment_id: UUID,
    request: Request,
    principal: MayStartExecutions,
    session: Db,
    dispatch: Dispatch,
    still_valid: StillValid,
) -> Response:
    """One message of a client. What a call starts is stored with this request's transaction, as everywhere else."""
    if "idempotency-key" in request.headers:
        raise Invalid("Messages of this protocol take no Idempotency-Key.", location="header.idempotency-key")
    await environments.get(session, environment_id)
    state = request.app.state
    waiter = Waiter(
        state.database,
        state.notifications,
        dispatch,
        organization_id=principal.tenant,
        projects=request.state.reach.projects,
        allowed=still_valid,
    )
    conversation = request.state.conversation = Conversation(environment_id, waiter)
    headers: dict[str, str] = {}
    started = None
    if (asked := _called(await request.body())) is not None:
        try:
            conversation.call, started = await calls.begin(session, principal, environment_id, **asked)
        except Refused as refusal:
            conversation.refusal = str(refusal)
    if started is not None:
        after_commit(session, partial(dispatch.dispatch_soon, principal.tenant, started.run))
        headers["Location"] = f"/api/v1/executions/{started.execution.id}"
    request.state.reading = started is None
    server: McpServer = state.agent_tools
    return HandedOver(server, conversation, await request.body(), headers=headers)


def _called(body: bytes) -> dict[str, Any] | None:
    """The name and the arguments of the tool that a message calls; the library judges every other message."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or message.get("method") != "tools/call" or message.get("id") is None:
        return None
    params = message.get("params")
    if not isinstance(params, dict) or not isinstance(params.get("name"), str):
        return None
    arguments = params.get("arguments") or {}
    return {"name": params["name"], "arguments": arguments} if isinstance(arguments, dict) else None

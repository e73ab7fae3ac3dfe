"""What the library of the Model Context Protocol calls: the list of tools, and the call of one."""

import asyncio
from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)

from control_plane.agent_tools.calls import Refused
from control_plane.agent_tools.conversation import Conversation
from control_plane.agent_tools.tools import WAITING, AgentArguments, AgentTool, WaitArguments, schema_of
from control_plane.executions.models import Execution
from control_plane.executions.state import Status

Context = ServerRequestContext[Any, Any]

_WAITING = Tool(
    name=WAITING,
    description="Waits for an execution that you have started with another tool, and gives its answer.",
    input_schema=schema_of(WaitArguments),
    annotations=ToolAnnotations(read_only_hint=True),
)


def manager(*, version: str) -> StreamableHTTPSessionManager:
    """What answers requests, each by itself."""
    server: Server[Any] = Server(
        "agent-control-plane",
        version=version,
        on_list_tools=_list_tools,
        on_call_tool=_call_tool,
        # Otherwise it would list all tools for each call, to see what this one takes.
        get_tool_input_schema=lambda name: schema_of(WaitArguments if name == WAITING else AgentArguments),
    )
    return StreamableHTTPSessionManager(server, stateless=True)


async def _list_tools(context: Context, _: PaginatedRequestParams | None) -> ListToolsResult:
    return ListToolsResult(tools=[*map(_described, await _conversation(context).tools()), _WAITING])


def _described(tool: AgentTool) -> Tool:
    return Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=schema_of(AgentArguments),
        # What an agent does isn't known before.
        annotations=ToolAnnotations(read_only_hint=False, destructive_hint=True, open_world_hint=True),
    )


async def _call_tool(context: Context, _: CallToolRequestParams) -> CallToolResult:
    conversation = _conversation(context)
    if conversation.call is None:
        return _failed(conversation.refusal)
    conversation.call.taken = True

    async def tell(number: int, text: str) -> None:
        await context.session.report_progress(number, message=text)

    try:
        return _result(await conversation.waiter.answer(conversation.call, tell))
    except Refused as refusal:
        return _failed(str(refusal))
    except asyncio.CancelledError:
        with anyio.CancelScope(shield=True):
            await conversation.left()
        raise


def _conversation(context: Context) -> Conversation:
    request: Any = context.request
    conversation: Conversation = request.state.conversation
    return conversation


def _result(execution: Execution) -> CallToolResult:
    status = Status(execution.status)
    told = {
        "execution_id": str(execution.id),
        "status": str(status),
        "response": execution.response,
        "output": execution.output,
        "error": execution.error,
        "usage": execution.usage,
    }
    if status is Status.COMPLETED:
        text = execution.response or ""
    elif status.terminal:
        text = f"The execution {execution.id} ended as {status}. {execution.error or ''}".rstrip()
    else:
        text = f"The execution {execution.id} is {status} and goes on. Ask for its answer with the tool {WAITING}."
    return CallToolResult(
        content=[TextContent(type="text", text=text)],
        structured_content=told,
        is_error=status.terminal and status is not Status.COMPLETED,
    )


def _failed(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)

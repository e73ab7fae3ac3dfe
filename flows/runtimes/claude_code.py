"""Agents of type `claude_code`: Claude Code drives the conversation, without any tool but ours.

Its command runs as a process of its own, with an environment and folders made for this conversation. It knows the LLM
gateway and nothing else: it reads no settings of a person or a project, and tells nobody what it does.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from claude_agent_sdk import (
    ClaudeAgentOptions,
    ClaudeSDKClient,
    ClaudeSDKError,
    McpSdkServerConfig,
    PermissionResultAllow,
    PermissionResultDeny,
    ToolPermissionContext,
)
from mcp.server import Server
from mcp.types import CallToolResult, ListToolsResult, TextContent, Tool

from control_plane.client import is_on_this_machine
from control_plane.wire.messages import Message, UserMessage
from flows.runtimes.claude_messages import Reader
from flows.runtimes.claude_transcript import write_transcript
from flows.runtimes.protocol import MODEL_RETRIES, OfferedTool, RunFailed, Setup, Signal

_SERVER = "tools"

_MOST_TOKENS = 8192
"""Of an answer, where the agent doesn't say: Claude Code always names a number, and models refuse one above theirs."""

_INTERRUPT_SECONDS = 2.0

_LONGEST_LINE = 64 << 20
"""Bytes of one message between the SDK and the command: a tool's result travels in it, and a whole conversation."""

_FOR_EVER = "2000000000"
"""Milliseconds that a tool may take for all that Claude Code cares: `limits.tool_call_seconds` ends it."""

_KEPT = frozenset({"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS"})  # fmt: skip
_PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"})

_SETTINGS = {
    # The bare mode: no CLAUDE.md, no hooks, plugins, skills, memory, or notes on the machine in the conversation.
    "CLAUDE_CODE_SIMPLE": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_UPDATES": "1",
    "DISABLE_GROWTHBOOK": "1",
    "CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS": "1",
    # Tools keep their names, as in every runtime, and are offered at once, not searched for.
    "CLAUDE_AGENT_SDK_MCP_NO_PREFIX": "1",
    "ENABLE_TOOL_SEARCH": "false",
    # A summary in place of the conversation would be a model call that nobody sees.
    "DISABLE_COMPACT": "1",
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    "CLAUDE_CODE_DISABLE_MCP_TASKS": "1",
    "CLAUDE_CODE_DISABLE_MCP_TASK_BACKGROUND": "1",
    "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1",
    "CLAUDE_CODE_NO_MODEL_FALLBACK": "1",
    "CLAUDE_CODE_MAX_RETRIES": str(MODEL_RETRIES),
    "MCP_TOOL_TIMEOUT": _FOR_EVER,
    "CLAUDE_CODE_MCP_TOOL_IDLE_TIMEOUT": _FOR_EVER,
    "CLAUDE_CODE_SDK_MCP_TOOL_IDLE_TIMEOUT": _FOR_EVER,
    # A longer result would be put into a file that no tool can read. Ours are cut before.
    "MAX_MCP_OUTPUT_TOKENS": "1000000",
}


class ClaudeCodeRuntime:
    """See `flows.runtimes.protocol.Runtime`."""

    @asynccontextmanager
    async def open(self, setup: Setup) -> AsyncIterator["_Conversation"]:
        """A conversation with folders of its own."""
        yield _Conversation(setup)


class _Conversation:
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._tools = {tool.name: tool for tool in setup.tools}
        self._home = setup.folder / "home"
        self._desk = setup.folder / "desk"
        for folder in (self._home, self._desk):
            folder.mkdir(mode=0o700, exist_ok=True)
        # In a file, since a command line is short and anybody may read it.
        self._instructions = setup.folder / "system-prompt.txt"
        self._instructions.write_text(setup.instructions, encoding="utf-8", errors="replace")

    async def stream(self, messages: Sequence[Message], *, turns: int) -> AsyncGenerator[Signal]:
        *history, last = messages
        if not isinstance(last, UserMessage):
            raise TypeError("a conversation goes on with what the user says")
        reader = Reader(self._tools)
        try:
            async with ClaudeSDKClient(self._options(history, reader, turns=turns)) as client:
                await client.query(last.content)
                try:
                    async for message in client.receive_response():
                        for signal in reader.read(message):
                            yield signal
                        await reader.taken()
                except BaseException:
                    # It would else go on until it notices that nobody listens.
                    with contextlib.suppress(Exception):
                        async with asyncio.timeout(_INTERRUPT_SECONDS):
                            await client.interrupt()
                    raise
        except ClaudeSDKError as error:
            raise RunFailed(
                f"Claude Code could not be started or stopped by itself ({type(error).__name__}). Start the execution"
                " again; if it happens again, look whether the worker has the memory for it.",
                code="runtime_stopped",
            ) from error

    def _options(self, history: Sequence[Message], reader: Reader, *, turns: int) -> ClaudeAgentOptions:
        effort: Any = self._setup.model.reasoning_effort
        session = str(uuid4())
        if history:
            write_transcript(history, session=session, config=self._config, desk=self._desk)
        return ClaudeAgentOptions(
            tools=[],
            mcp_servers={_SERVER: McpSdkServerConfig(type="sdk", name=_SERVER, instance=_server(self._tools))},
            strict_mcp_config=True,
            setting_sources=[],
            can_use_tool=_permission(self._tools, reader),
            permission_mode="default",
            system_prompt={"type": "file", "path": str(self._instructions)},
            model=self._setup.model.name,
            thinking={"type": "adaptive"} if effort else {"type": "disabled"},
            effort=effort,
            max_turns=turns,
            include_partial_messages=True,
            # A prompt is data: no command in it is carried out, and no file that it names is read.
            verbatim_prompts=True,
            cwd=self._desk,
            env=self._environment(),
            resume=session if history else None,
            session_id=None if history else session,
            max_buffer_size=_LONGEST_LINE,
            # What it writes there may tell what the conversation is about.
            stderr=_discard,
        )

    @property
    def _config(self) -> Path:
        return self._home / ".claude"

    def _environment(self) -> dict[str, str]:
        """What the command finds in its environment. The SDK adds it to all that this process has: that is blanked."""
        model, endpoint = self._setup.model, self._setup.endpoint
        keeps = _KEPT if is_on_this_machine(endpoint.anthropic_url) else _KEPT | _PROXIES
        blanked = {name: "" for name in os.environ if name.upper() not in keeps}
        return {
            **blanked,
            **_SETTINGS,
            "HOME": str(self._home),
            "CLAUDE_CONFIG_DIR": str(self._config),
            "ANTHROPIC_BASE_URL": endpoint.anthropic_url,
            "ANTHROPIC_AUTH_TOKEN": endpoint.token,
            # For whatever it would ask another model.
            "ANTHROPIC_SMALL_FAST_MODEL": model.name,
            "ANTHROPIC_DEFAULT_HAIKU_MODEL": model.name,
            "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(model.max_tokens or _MOST_TOKENS),
            **({} if model.reasoning_effort else {"CLAUDE_CODE_EFFORT_LEVEL": "unset"}),
        }


def _discard(_line: str) -> None:
    return


def _server(tools: Mapping[str, OfferedTool]) -> Server[Any]:
    """Our tools as Claude Code gets at them. They check their arguments themselves."""

    async def list_tools(_context: Any, _request: Any) -> ListToolsResult:
        return ListToolsResult(
            tools=[
                Tool(name=tool.name, description=tool.description, inputSchema=tool.parameters)
                for tool in tools.values()
            ]
        )

    async def call_tool(_context: Any, request: Any) -> CallToolResult:
        text = await tools[request.name].call(json.dumps(request.arguments or {}))
        return CallToolResult(content=[TextContent(type="text", text=text)])

    return Server(_SERVER, version="1", on_list_tools=list_tools, on_call_tool=call_tool)


def _permission(tools: Mapping[str, OfferedTool], reader: Reader) -> Any:
    async def may_call(
        name: str, _arguments: dict[str, Any], context: ToolPermissionContext
    ) -> PermissionResultAllow | PermissionResultDeny:
        if name not in tools:
            return PermissionResultDeny(message=f"There is no tool {name}.")
        # Claude Code begins with a call while the model is still writing the next one.
        await reader.turn_of(context.tool_use_id or "")
        return PermissionResultAllow()

    return may_call

"""A conversation as the file from which Claude Code resumes one."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from claude_agent_sdk import project_key_for_directory

from control_plane.wire.messages import AssistantMessage, Message, ToolResult, UserMessage


def write_transcript(messages: Sequence[Message], *, session: str, config: Path, desk: Path) -> None:
    """Leave the conversation where `resume` finds it, for a command that works in the folder `desk`."""
    folder = config / "projects" / project_key_for_directory(desk)
    folder.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    parent: str | None = None
    for message in _blocks(messages):
        own = str(uuid4())
        entry = {
            "type": message["role"],
            "uuid": own,
            "parentUuid": parent,
            "sessionId": session,
            "isSidechain": False,
            "userType": "external",
            "cwd": str(desk),
            "timestamp": datetime.now(UTC).isoformat(),
            "message": message,
        }
        lines.append(json.dumps(entry))
        parent = own
    (folder / f"{session}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _blocks(messages: Sequence[Message]) -> Iterator[dict[str, Any]]:
    """The messages as Anthropic's: the results of one turn's calls stand in one message of the user."""
    results: list[dict[str, Any]] = []
    for message in messages:
        if isinstance(message, ToolResult):
            results.append({"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.content})
            continue
        if results:
            yield {"role": "user", "content": results}
            results = []
        match message:
            case UserMessage():
                yield {"role": "user", "content": message.content}
            case AssistantMessage():
                yield {"role": "assistant", "id": f"msg_{uuid4().hex}", "type": "message", "content": _content(message)}
    if results:
        yield {"role": "user", "content": results}


def _content(message: AssistantMessage) -> list[dict[str, Any]]:
    text = [{"type": "text", "text": message.content}] if message.content else []
    calls = [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments} for call in message.tool_calls
    ]
    return [*text, *calls]

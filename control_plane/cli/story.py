"""An execution's events as a person at a terminal reads them, while they happen."""

import json
import time
from typing import Any

from rich.console import Console
from rich.markup import escape

from control_plane.rest import StreamedEvent

_LONGEST = 300
"""Characters of a tool's input or output that are shown; the events hold all of it."""

_OUTCOMES = {"allow": "green", "deny": "bold red", "require_approval": "yellow"}
_STATUSES = {"completed": "green", "failed": "bold red", "cancelled": "yellow"}


class Story:
    """Prints events one by one. `status` is the latest status of the execution."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._started = time.monotonic()
        self._streaming: str | None = None
        self._streamed: set[str] = set()
        self.status = "pending"

    def tell(self, event: StreamedEvent) -> None:
        """Print one event."""
        data = event.data.get("data", event.data)
        if event.type == "message_chunk":
            self._chunk(data)
            return
        self._end_message()
        if event.type == "message" and data["message_id"] in self._streamed:
            return
        match event.type:
            case "status":
                self.status = data["status"]
                self._line("status", f"[{_STATUSES.get(self.status, 'cyan')}]{self.status}[/]")
            case "message":
                self._line(data["role"], escape(_plain(data["content"])))
            case "decision":
                self._decision(data)
            case "tool_started":
                self._line("tool", f"[bold]{escape(data['tool_name'])}[/] {_shown(data['tool_input'])}")
            case "tool_completed":
                self._line(
                    "tool", f"{escape(data['tool_name'])} {escape(data['tool_status'])}: {_shown(data['tool_output'])}"
                )
            case "error":
                self._line("error", f"[red]{escape(_plain(data['error']))}[/]")
            case "done":
                self._done(data)

    def _chunk(self, data: dict[str, Any]) -> None:
        if data["message_id"] != self._streaming:
            self._end_message()
            self._streaming = data["message_id"]
            self._streamed.add(data["message_id"])
            self._console.print(self._head("assistant"), end="")
        self._console.print(escape(_plain(data["content"])), end="")
        self._console.file.flush()

    def _end_message(self) -> None:
        if self._streaming is not None:
            self._console.print()
            self._streaming = None

    def _decision(self, data: dict[str, Any]) -> None:
        outcome = data["outcome"]
        self._line("policy", f"[{_OUTCOMES[outcome]}]{outcome}[/] {escape(data['tool_name'])}")
        for reason in data["reasons"]:
            where = f"policy {reason['policy']} v{reason['version']}, rule {reason['rule']}"
            self._console.print(f"{'':19}[red]{escape(_plain(reason['reason']))}[/] ({escape(where)})")

    def _done(self, data: dict[str, Any]) -> None:
        if data["error"]:
            self._line("done", f"[red]{escape(_plain(data['error']))}[/]")
        usage = data["usage"] or {}
        if usage:
            self._line(
                "usage",
                f"{usage['model_turns']} model turns, {usage['tool_calls']} tool calls,"
                f" {usage['input_tokens']} tokens in, {usage['output_tokens']} out",
            )

    def _line(self, kind: str, text: str) -> None:
        self._console.print(self._head(kind) + text)

    def _head(self, kind: str) -> str:
        return f"[dim]{time.monotonic() - self._started:7.2f}s[/] [cyan]{kind:<10}[/]"


def _shown(value: object) -> str:
    text = _plain(json.dumps(value, ensure_ascii=False))
    return escape(text if len(text) <= _LONGEST else text[:_LONGEST] + "…")


def _plain(text: str) -> str:
    """The text without control characters: what a tool returned must not steer the reader's terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)

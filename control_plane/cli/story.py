"""An execution's events as a person at a terminal reads them, while they happen."""

import json
import time
from typing import Any

from rich.console import Console
from rich.text import Text

from control_plane.rest import StreamedEvent

_LONGEST = 300
"""Characters of a tool's input or output that are shown; the events hold all of it."""

_INDENT = " " * 19
_OUTCOMES = {"allow": "green", "deny": "bold red", "require_approval": "yellow"}
_STATUSES = {"completed": "green", "failed": "bold red", "cancelled": "yellow"}


class Story:
    """Prints events one by one. `status` is the latest status of the execution.

    What stands in an event was written by models, tools and tenants: it is printed as plain text, never as markup.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True, emoji=False)
        self._started = time.monotonic()
        self._streaming: str | None = None
        self._error: object = None
        self._streamed: set[str] = set()
        self.status = "pending"

    def tell(self, event: StreamedEvent) -> None:
        """Print one event."""
        data = event.data.get("data", event.data)
        if event.type == "message_chunk":
            self._chunk(data)
            return
        self._end_message()
        match event.type:
            case "status":
                self.status = str(data.get("status"))
                self._line("status", _plain(self.status), style=_STATUSES.get(self.status, "cyan"))
            case "message" if data.get("message_id") not in self._streamed:
                self._line(str(data.get("role", "message")), _plain(data.get("content", "")))
            case "decision":
                self._decision(data)
            case "tool_started":
                self._line("tool", f"{_plain(data.get('tool_name'))} {_shown(data.get('tool_input'))}")
            case "tool_progress":
                self._line("tool", f"{_plain(data.get('tool_name'))}: {_plain(data.get('message'))}")
            case "tool_completed":
                what = f"{_plain(data.get('tool_name'))} {_plain(data.get('tool_status'))}"
                self._line("tool", f"{what}: {_shown(data.get('tool_output'))}")
            case "error":
                self._error = data.get("error")
                self._line("error", _plain(self._error), style="red")
            case "done":
                self._done(data)

    def _chunk(self, data: dict[str, Any]) -> None:
        if data.get("message_id") != self._streaming:
            self._end_message()
            self._streaming = str(data.get("message_id"))
            self._streamed.add(self._streaming)
            self._console.print(self._head("assistant"), end="")
        self._console.print(Text(_plain(data.get("content", ""))), end="")
        self._console.file.flush()

    def _end_message(self) -> None:
        if self._streaming is not None:
            self._console.print()
            self._streaming = None

    def _decision(self, data: dict[str, Any]) -> None:
        outcome = str(data.get("outcome"))
        self._console.print(
            self._head("policy") + Text(_plain(outcome), _OUTCOMES.get(outcome, "")),
            Text(_plain(data.get("tool_name"))),
        )
        for reason in data.get("reasons", []):
            where = f"policy {reason.get('policy')} v{reason.get('version')}, rule {reason.get('rule')}"
            told = Text(_plain(reason.get("reason")), "red") + Text(f" ({_plain(where)})")
            self._console.print(Text(_INDENT) + told)

    def _done(self, data: dict[str, Any]) -> None:
        if data.get("error") and data["error"] != self._error:
            self._line("error", _plain(data["error"]), style="red")
        if usage := data.get("usage"):
            self._line(
                "usage",
                f"{usage['model_turns']} model turns, {usage['tool_calls']} tool calls,"
                f" {usage['input_tokens']} tokens in, {usage['output_tokens']} out",
            )

    def _line(self, kind: str, text: str, *, style: str = "") -> None:
        self._console.print(self._head(kind) + Text(text, style))

    def _head(self, kind: str) -> Text:
        elapsed = Text(f"{time.monotonic() - self._started:7.2f}s ", "dim")
        return elapsed + Text(f"{_plain(kind):<9} ", "cyan")


def _shown(value: object) -> str:
    text = _plain(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _plain(value: object) -> str:
    """The text without control characters: what a tool returned must not steer the reader's terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in str(value))

"""What the dialects make of a turn: frames of a stream, with waits between them."""

import json
from typing import Any

from tests.provider.turns import Wait

Frame = str | Wait


def data(value: Any) -> str:
    """One server-sent event without a name, as chat completions are streamed."""
    return f"data: {json.dumps(value)}\n\n"


def event(value: dict[str, Any]) -> str:
    """One server-sent event under the name of its type, as responses and messages are streamed."""
    return f"event: {value['type']}\ndata: {json.dumps(value)}\n\n"


def halves(text: str) -> list[str]:
    """A text in two pieces, as arguments of tools are streamed."""
    return [piece for piece in (text[: len(text) // 2], text[len(text) // 2 :]) if piece]

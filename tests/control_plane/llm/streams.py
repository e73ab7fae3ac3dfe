"""What a stream of the gateway said."""

import json
from typing import Any


def events_of(text: str) -> list[dict[str, Any]]:
    """The data of its events, in order; without OpenAI's last word, which is no JSON."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]

"""Making what is told fit into what the control plane accepts."""

import json
from bisect import bisect_right

from pydantic import JsonValue

MAX_ERROR_BYTES = 64 << 10
"""Of a text that tells what went wrong."""


def size(value: JsonValue) -> int:
    """Bytes of a value as JSON in UTF-8, which is how it travels."""
    return len(json.dumps(value, ensure_ascii=False).encode(errors="replace"))


def cut(text: str, most: int) -> str:
    """The text, or its beginning with a note, so that it takes at most `most` bytes as JSON. At least 100."""
    if size(text) <= most:
        return text
    note = f"… (cut: it has {len(text)} characters)"
    room = most - size(note)
    # A text of n characters takes at least n bytes.
    kept = bisect_right(range(min(len(text), room)), room, key=lambda length: size(text[:length])) - 1
    return text[: max(kept, 0)] + note


def fitted(data: dict[str, JsonValue], most: int) -> dict[str, JsonValue]:
    """The data, with its long texts cut so far that all of it takes at most `most` bytes as JSON."""
    if size(data) <= most:
        return data
    for longest in (most * 3 // 4, most // 4, most // 16, most // 64, most // 256):
        shortened = {key: _shortened(value, longest) for key, value in data.items()}
        if size(shortened) <= most:
            return shortened
    return {"cut": cut(json.dumps(data, ensure_ascii=False), most - 100)}


def _shortened(value: JsonValue, longest: int) -> JsonValue:
    if isinstance(value, str):
        return cut(value, longest)
    if isinstance(value, list):
        return [_shortened(item, longest) for item in value]
    if isinstance(value, dict):
        return {key: _shortened(item, longest) for key, item in value.items()}
    return value

"""What of a tool's result a model gets to read."""

import json

from pydantic import JsonValue

MAX_OUTPUT_CHARACTERS = 100_000
"""A longer result would fill a model's context; it is cut, with a note, unless the tool says another number."""


def text_of(result: JsonValue) -> str:
    """A result in full, as text."""
    return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)


def fits(result: JsonValue, most: int) -> bool:
    """Whether a result may be read as it is."""
    return len(text_of(result)) <= most


def shortened(result: JsonValue, most: int, *, kept: str | None = None) -> JsonValue:
    """The result, or its beginning as text with a note that says where the whole is `kept`."""
    text = text_of(result)
    if len(text) <= most:
        return result
    where = f"; the whole is kept as {kept}" if kept else ""
    return f"{text[:most]}… (cut: the first {most} of {len(text)} characters{where})"

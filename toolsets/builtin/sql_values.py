"""What a database returns, as JSON."""

import json
import math
from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

MAX_VALUE_CHARACTERS = 20_000


def as_json(value: Any) -> Any:
    """One value: what JSON has is itself, times are ISO 8601, and everything else is text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return _cut("\\x" + value[:MAX_VALUE_CHARACTERS].hex())
    if isinstance(value, Mapping):
        return {str(name): as_json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [as_json(inner) for inner in value]
    if hasattr(value, "items") and callable(value.items):  # a row inside of a row
        return {str(name): as_json(inner) for name, inner in value.items()}
    return _cut(str(value))


def document(text: str) -> Any:
    """A value of the types json and jsonb."""
    return json.loads(text) if len(text) <= MAX_VALUE_CHARACTERS else _cut(text)


def _cut(text: str) -> str:
    if len(text) <= MAX_VALUE_CHARACTERS:
        return text
    return f"{text[:MAX_VALUE_CHARACTERS]}… (cut: the first {MAX_VALUE_CHARACTERS} of {len(text)} characters)"

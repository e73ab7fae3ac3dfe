"""Keeping the values of released secrets out of everything that leaves this process."""

import base64
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from pydantic import JsonValue

LEAST_CHARACTERS = 4
"""A shorter value is in every other text by chance; blotting it out would hide nothing and spoil everything."""

_LEAST_LINE = 12


class Blotter:
    """Remembers what was released in an execution and blots it out of values and texts.

    It knows a value as it is, percent-encoded, in base64, as a JSON string, and the long lines of one that has several.
    """

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def __bool__(self) -> bool:
        """Whether anything has been released yet."""
        return bool(self._known)

    def remember(self, name: str, value: str) -> None:
        """Blot out this value from now on."""
        for form in _forms(value):
            if len(form) >= LEAST_CHARACTERS:
                self._known[form] = f"[secret {name}]"
        # Longest first: of two values of which one contains the other, nothing may be left over.
        self._known = dict(sorted(self._known.items(), key=lambda item: -len(item[0])))

    def text(self, text: str) -> str:
        """The text without any released value."""
        for form, name in self._known.items():
            if form in text:
                text = text.replace(form, name)
        return text

    def value(self, value: JsonValue) -> JsonValue:
        """A JSON value without any released value, also as a name or a number."""
        if not self._known:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.text(name): self.value(item) for name, item in value.items()}
        written = json.dumps(value)
        blotted = self.text(written)
        return value if blotted == written else blotted


@contextmanager
def blotted_logs(blotter: Blotter) -> Iterator[None]:
    """Blot released values out of what anybody in this process logs: HTTP clients, for one, log the URLs they ask."""
    before = logging.getLogRecordFactory()
    formatter = logging.Formatter()

    def made(*values: Any, **named: Any) -> logging.LogRecord:
        record = before(*values, **named)
        if blotter:
            record.msg, record.args = blotter.text(_message(record)), ()
            if record.exc_info and record.exc_info[0]:
                record.exc_text = blotter.text(formatter.formatException(record.exc_info))
                record.exc_info = None
        return record

    logging.setLogRecordFactory(made)
    try:
        yield
    finally:
        logging.setLogRecordFactory(before)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        # Arguments that don't fit are reported by handlers; raising here would hit whoever logs.
        return f"{record.msg} {record.args}"


def _forms(value: str) -> set[str]:
    data = value.encode()
    forms = {
        value,
        quote(value, safe=""),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        base64.b64encode(data).decode(),
        base64.urlsafe_b64encode(data).decode(),
        data.hex(),
    }
    stripped = value.strip()
    forms.add(stripped)
    forms.update(line for raw in value.splitlines() if len(line := raw.strip()) >= _LEAST_LINE)
    return forms

"""Server-sent events: taken apart as they arrive, and read for what the gateway has to know of them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import from_json

from control_plane.llm.dialects import CHAT_COMPLETIONS, RESPONSES, Dialect
from control_plane.llm.explanations import answered, interrupted
from control_plane.llm.metering import Meter
from control_plane.llm.targets import Target

_END, _LONGEST_END = re.compile(rb"\r?\n\r?\n"), 4
DONE = b"data: [DONE]\n\n"


class Splitter:
    """Makes whole events of the pieces in which they arrive."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The events that are complete with this piece, each with its end."""
        # What was looked through before isn't again, or a long event in small pieces would take the time of its square.
        begun = max(0, len(self._rest) - _LONGEST_END)
        self._rest += piece
        if not _END.search(self._rest, begun):
            return iter(())
        *events, rest = _END.split(bytes(self._rest))
        self._rest = bytearray(rest)
        return (event + b"\n\n" for event in events if event)

    @property
    def waiting(self) -> int:
        """How many bytes have come of an event that isn't complete."""
        return len(self._rest)

    def rest(self) -> Iterator[bytes]:
        """What came last, if it lacks an end."""
        if self._rest.strip():
            yield bytes(self._rest.rstrip()) + b"\n\n"


class StreamReader:
    """Follows one stream: tells the meter what it says, keeps its end back, and raises what goes wrong in it."""

    def __init__(self, dialect: Dialect, target: Target, meter: Meter, *, usage_wanted: bool) -> None:
        self._dialect = dialect
        self._target = target
        self._meter = meter
        self._usage_wanted = usage_wanted
        self._finished = False
        self.last = b""

    def read(self, event: bytes) -> bytes | None:
        """What to pass on of an event. Raises `ModelError` for one that tells of a failure."""
        if event.startswith((*self._dialect.last, b"data:[DONE]")):
            self._finished, self.last = True, event
        value = _data_of(event)
        if value is None:
            return None if self.last else event
        self._raise_failure(value)
        self._take_down(value)
        if self.last or (self._dialect is CHAT_COMPLETIONS and self._tells_only_usage(value)):
            return None
        return event

    def end(self) -> bytes:
        """The event that ends the stream. Raises `ModelError` if there was none."""
        if not self._finished:
            raise interrupted(self._target)
        return self.last or DONE

    def _raise_failure(self, value: Mapping[str, Any]) -> None:
        failed = value.get("response") if value.get("type") == "response.failed" else None
        error = failed.get("error") if isinstance(failed, Mapping) else value.get("error")
        if self._dialect is RESPONSES and value.get("type") == "error":
            error = error or value
        if error:
            raise answered(self._target, _status_of(error), {"error": error}, {})

    def _take_down(self, value: Mapping[str, Any]) -> None:
        choices = value.get("choices")
        delta = [choice.get("delta") for choice in choices] if isinstance(choices, list) else value.get("delta")
        if said := _size(delta):
            self._meter.received(b" " * said)
        if isinstance(choices, list) and any(choice.get("finish_reason") for choice in choices):
            # Some who speak OpenAI's dialect end without `[DONE]`.
            self._finished = True
        for place in (value, value.get("message"), value.get("response")):
            if isinstance(place, Mapping) and isinstance(usage := place.get("usage"), Mapping):
                self._meter.heard(usage)

    def _tells_only_usage(self, value: Mapping[str, Any]) -> bool:
        if self._usage_wanted or not value.get("usage"):
            return False
        return not any(choice.get("delta") or choice.get("finish_reason") for choice in value.get("choices") or ())


def _data_of(event: bytes) -> dict[str, Any] | None:
    text = b"".join(line[5:] for line in event.splitlines() if line.startswith(b"data:")).strip()
    if not text.startswith(b"{"):
        return None
    try:
        value = from_json(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _size(value: object) -> int:
    """How many bytes of text are in it, without the names that JSON needs."""
    if isinstance(value, str):
        return len(value.encode("utf-8", "replace"))
    if isinstance(value, Mapping):
        return sum(_size(part) for name, part in value.items() if name not in {"type", "role", "id", "index"})
    return sum(map(_size, value)) if isinstance(value, list) else 0


_STATUSES = {
    "overloaded_error": 529,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "invalid_request_error": 400,
    "authentication_error": 401,
    "not_found_error": 404,
}


def _status_of(error: object) -> int:
    if not isinstance(error, Mapping):
        return 500
    names = (error.get("code"), error.get("type"))
    return next((_STATUSES[name] for name in names if isinstance(name, str) and name in _STATUSES), 500)

"""What a test writes down for the model to do, in no provider's dialect. Turns are added up:

provider.will(
    thinks("Which time?") + says("Let me ", "look.") + calls("clock_now", {}),
    says("Noon.").using(input=100, output=5),
)
"""

import asyncio
import json
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Text:
    """Words, streamed piece by piece."""

    pieces: tuple[str, ...]

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Thinking:
    """What the model thinks before it answers. OpenAI tells of it in the responses dialect alone."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool. `arguments` is JSON text, as models write it: it may be malformed."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing comes until somebody sets the event. The provider's `reached` is set here."""

    until: asyncio.Event


Part = Text | Thinking | Call | Wait


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens. `cached` of the `input` came from the provider's cache."""

    input: int = 10
    output: int = 2
    cached: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """What the provider answers in place of a turn, or in the middle of one.

    `kind` names the trouble; each dialect has its own status, type and words for it.
    """

    kind: str
    retry_after: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer of the model, whole or streamed, as the request asks.

    `end` is why it ends: `stop`, `length`, `refusal` or `filter`; calls of tools speak for themselves. With `cut` the
    connection breaks after the last part. A `failure` comes at once if there are no parts, and in the stream else.
    """

    parts: tuple[Part, ...] = ()
    usage: Usage = field(default_factory=Usage)
    end: str = "stop"
    failure: Failure | None = None
    cut: bool = False

    def __add__(self, other: "Turn") -> "Turn":
        return replace(other, parts=(*self.parts, *other.parts))

    @property
    def calls(self) -> list[Call]:
        return [part for part in self.parts if isinstance(part, Call)]

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def thinking(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Thinking))

    def using(self, *, input: int, output: int, cached: int = 0) -> "Turn":  # noqa: A002 - what it is
        """The same turn with these numbers of tokens."""
        return replace(self, usage=Usage(input=input, output=output, cached=cached))

    def cut_off(self) -> "Turn":
        """The same turn, but the connection breaks in place of its end."""
        return replace(self, cut=True)

    def too_long(self) -> "Turn":
        """The same turn, ended by the limit of tokens."""
        return replace(self, end="length")


def says(*pieces: str) -> Turn:
    """Text, each piece in a chunk of its own."""
    return Turn((Text(pieces),))


def answers(value: Any) -> Turn:
    """Structured output: the value as JSON text."""
    text = json.dumps(value)
    return says(text[: len(text) // 2], text[len(text) // 2 :])


def thinks(text: str) -> Turn:
    """Thinking that the model shows."""
    return Turn((Thinking(text),))


def calls(name: str, arguments: Any = None) -> Turn:
    """One call of a tool; add several for parallel calls. Arguments that are text are sent as they are."""
    return Turn((Call(name, arguments if isinstance(arguments, str) else json.dumps(arguments or {})),))


def waits(until: asyncio.Event | None = None) -> Turn:
    """Nothing comes until the event, or for good without one."""
    return Turn((Wait(until or asyncio.Event()),))


def refuses(text: str = "I can't help with that.") -> Turn:
    """The model declines, in its dialect's own way."""
    return replace(says(text), end="refusal")


def filtered(*pieces: str) -> Turn:
    """A content filter stops the answer behind these pieces."""
    return replace(says(*pieces), end="filter")


def fails(kind: str, *, retry_after: str | None = None, message: str | None = None) -> Turn:
    """A failure: `limited`, `overloaded`, `broken`, `context`, `filtered`, `key`, `forbidden`, `model`, `quota`, `bad`.

    Alone it is an answer with a status; added to parts it comes in the middle of the stream.
    """
    return Turn(failure=Failure(kind, retry_after, message))


def limited(retry_after: str | None = "7") -> Turn:
    """429, with `Retry-After`."""
    return fails("limited", retry_after=retry_after)


def overloaded() -> Turn:
    """503 from OpenAI, 529 from Anthropic."""
    return fails("overloaded")

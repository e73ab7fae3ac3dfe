"""Sending requests to the application in this process, and telling what their answers give away."""

import asyncio
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
from sqlalchemy import event

from tests.security.belongings import Place
from tests.security.operations import Form, Operation

AT_ONCE = 12
PATIENCE_SECONDS = 30
"""A stream that opens where it should not never ends."""
_ECHOING = ("instance", "detail")
_IDENTITY = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TAG_OR_KEY = re.compile(r'"[0-9a-f]{32}"|(?:cp_[a-z]+|cp[js])_[\w-]{43}')
_OF_AUTHENTICATION = ("authenticate(", "recognise_member(", "SET last_used_at", "SET issuer")
_statements: ContextVar[list[str] | None] = ContextVar("the statements of the request", default=None)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request, and the values that it was filled with, by what they are called."""

    operation: Operation
    form: Form
    values: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.operation} with {dict(self.values)} {self.form} {dict(self.query)} {dict(self.headers)}"

    @property
    def path(self) -> str:
        """What is asked for."""
        return self.operation.prefix + self.operation.path.format(**self.values)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `statements` are what the request had the database do, authentication left out."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: str
    statements: Sequence[str]

    @property
    def shown(self) -> tuple[object, ...]:
        """What the caller sees."""
        return self.status, tuple(self.headers), self.body

    def masked(self, values: Mapping[str, str]) -> "Answer":
        """The same with what was asked about replaced by what it is called."""

        def mask(text: str) -> str:
            for name, value in sorted(values.items(), key=lambda item: -len(item[1])):
                text = text.replace(value, f"<{name}>") if len(value) > 3 else text
            return text

        headers = [(name, mask(value)) for name, value in self.headers if name != "content-length"]
        return Answer(self.status, headers, mask(self.body), self.statements)


@dataclass(frozen=True, slots=True)
class Canaries:
    """What must never be seen: ids, entity tags and keys, and words that stand in every text."""

    exact: frozenset[str]
    words: frozenset[str]

    @classmethod
    def of(cls, texts: Iterable[str], words: Iterable[str]) -> "Canaries":
        """Every id, entity tag and key in these texts, and these words."""
        return cls(frozenset(_exact("\n".join(texts))), frozenset(words))

    @classmethod
    def in_place(cls, place: Place, *, words: Iterable[str] | None = None) -> "Canaries":
        """Every id of a place, and its marker unless told other words."""
        ids = [value for values in place.values.values() for value in values]
        return cls.of(ids, {place.marker} if words is None else words)

    def without(self, texts: Iterable[str]) -> "Canaries":
        """Those that aren't in these texts, which one may see."""
        return Canaries(self.exact - _exact("\n".join(texts)), self.words)

    def together(self, other: "Canaries") -> "Canaries":
        """These and those."""
        return Canaries(self.exact | other.exact, self.words | other.words)

    def leaked(self, answer: Answer, *, sent: Iterable[str]) -> set[str]:
        """Those in an answer. What was sent may come back where a problem says what it is about, and nowhere else."""
        told, echoed = _parts(answer)
        for value in sorted(sent, key=len, reverse=True):
            echoed = echoed.replace(value, "")
        return self.found(told) | self.found(echoed)

    def found(self, text: str) -> set[str]:
        """Those in a text."""
        lower = text.lower()
        return {*(self.exact & (_exact(lower) | _exact(text))), *(word for word in self.words if word in lower)}


def _exact(text: str) -> set[str]:
    return {*_IDENTITY.findall(text), *_TAG_OR_KEY.findall(text)}


def _parts(answer: Answer) -> tuple[str, str]:
    headers = "\n".join(f"{name}: {value}" for name, value in answer.headers)
    body = json.loads(answer.body) if answer.status >= 400 and answer.body else None
    if not isinstance(body, dict):
        return f"{headers}\n{answer.body}", ""
    echoed = [str(body.pop(name, "")) for name in _ECHOING]
    errors = [*body.get("errors", []), *([body["error"]] if "error" in body else [])]
    echoed += [str(error.pop("message", "")) for error in errors]
    return f"{headers}\n{json.dumps(body)}", "\n".join(echoed)


class Sender:
    """Sends attempts with one credential, or none, and counts them."""

    def __init__(self, http: httpx.AsyncClient, headers: Mapping[str, str]) -> None:
        self.sent = 0
        self._http = http
        self._headers = headers
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def send(self, attempt: Attempt) -> Answer:
        """The answer. What the application raises is raised here."""
        self.sent += 1
        body = filled(attempt.form.body, attempt.values)
        query = {**filled(attempt.form.query, attempt.values), **attempt.query}
        async with self._slots, asyncio.timeout(PATIENCE_SECONDS):
            statements: list[str] = []
            _statements.set(statements)
            response = await self._http.request(
                attempt.operation.method,
                attempt.path,
                json=body,
                params=query,
                # One id for all, so that answers can be compared whole.
                headers={"X-Request-Id": "one-for-all", **self._headers, **attempt.headers},
            )
        return Answer(response.status_code, sorted(response.headers.items()), response.text, statements)

    async def send_all(self, attempts: Sequence[Attempt]) -> list[Answer]:
        """All answers, in the order of the attempts."""
        return await asyncio.gather(*map(self.send, attempts))


def filled(template: Any, values: Mapping[str, str]) -> Any:
    """A body or query with what stands in braces replaced."""
    match template:
        case dict():
            return {name: filled(value, values) for name, value in template.items()}
        case list():
            return [*map(partial(filled, values=values), template)]
        case str() if template.startswith("{") and template.endswith("}"):
            return values[template[1:-1]]
        case _:
            return template


def note_statements(app: Any) -> None:
    """Let answers tell what their requests had the database do."""

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        noting = _statements.get()
        if noting is not None and not any(part in statement for part in _OF_AUTHENTICATION):
            noting.append(statement)

    event.listen(app.state.database.engine.sync_engine, "before_cursor_execute", note)

"""The way to every model: finds where it is, tries again and elsewhere, meters, and answers in the caller's dialect.

Prompts and completions pass through and are kept nowhere.
"""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
from pydantic_core import from_json

from control_plane.auth.principals import ExecutionPrincipal
from control_plane.llm import passing_on, translation
from control_plane.llm.dialects import CHAT_COMPLETIONS, COUNT_TOKENS, RESPONSES, Dialect
from control_plane.llm.errors import ModelError
from control_plane.llm.event_stream import StreamReader
from control_plane.llm.explanations import answered, unavailable
from control_plane.llm.metering import Meter, Metering
from control_plane.llm.parameters import fitting
from control_plane.llm.targets import Target
from control_plane.llm.turns import compact, count_tokens

logger = logging.getLogger(__name__)

REPEATED = frozenset({"rate_limited", "overloaded", "unavailable", "timeout"})
"""What may be over when the call is made again. All else is an answer."""

_COUNTED = frozenset({"messages", "system", "tools", "tool_choice", "thinking"})
"""What there is to count, and all that Anthropic takes when it counts."""

_PATIENCE_SECONDS = 5.0
"""A provider that wants a longer pause isn't waited for: the caller is told to, or another model is asked."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a call goes: to the first target, and on to the next after an error whose code is in `on`."""

    targets: Sequence[Target]
    on: frozenset[str] = REPEATED


class Directory(Protocol):
    """Knows where the models of an organization are."""

    async def route(self, caller: ExecutionPrincipal) -> Route:
        """Where the model is that the caller may call. Raises `ModelError` if nobody knows."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """One request in one dialect. `request` holds what the dialect lets a caller say, without model and stream.

    `beta` are the names of Anthropic's trial features that the caller asks for.
    """

    caller: ExecutionPrincipal
    dialect: Dialect
    request: Mapping[str, Any]
    beta: str | None = None


class Gateway:
    """Make one per process. `trusted` connects to anywhere, `guarded` to public addresses only."""

    def __init__(
        self, directory: Directory, metering: Metering, *, trusted: httpx.AsyncClient, guarded: httpx.AsyncClient
    ) -> None:
        self._directory = directory
        self._metering = metering
        self._clients = {True: trusted, False: guarded}

    async def complete(self, call: Call) -> bytes:
        """The whole answer, as JSON. Raises `ModelError`."""
        route = await self._directory.route(call.caller)
        for attempt in _attempts(route):
            try:
                return await self._complete(call, attempt.target)
            except ModelError as error:
                await attempt.over(error)
        raise AssertionError("the last attempt raises")

    async def stream(self, call: Call) -> AsyncGenerator[bytes]:
        """The answer event by event. Raises `ModelError`. Closing the iterator stops the provider's call."""
        route = await self._directory.route(call.caller)
        for attempt in _attempts(route):
            begun = False
            try:
                async with aclosing(self._stream(call, attempt.target)) as events:
                    async for event in events:
                        begun = True
                        yield event
            except ModelError as error:
                if begun:
                    _log(attempt.target, error)
                    raise
                await attempt.over(error)
            else:
                return

    async def count_tokens(self, call: Call) -> int:
        """How many tokens a request has, if the provider counts them; else about as many. Raises `ModelError`."""
        route = await self._directory.route(call.caller)
        target = route.targets[0]
        if not target.speaks(call.dialect.name):
            return count_tokens(compact(call.request))
        client = self._clients[target.trusted]
        counted = {name: value for name, value in call.request.items() if name in _COUNTED}
        answer = await passing_on.whole(client, COUNT_TOKENS, target, counted, beta=call.beta)
        value = _object(answer, target).get("input_tokens")
        return value if isinstance(value, int) else count_tokens(compact(call.request))

    async def _complete(self, call: Call, target: Target) -> bytes:
        client, dialect = self._clients[target.trusted], call.dialect
        asked = {name: value for name, value in call.request.items() if name != "stream_options"}
        async with self._metered(call, target, asked) as meter:
            limited = meter.limited(asked, parameter=dialect.output_limit)
            if target.speaks(dialect.name):
                fitted = fitting(limited, dialect, target)
                answer = await passing_on.whole(client, dialect, target, fitted, beta=call.beta)
            else:
                answer = await translation.whole(client, dialect, target, limited)
            _take_down(answer, call, target, meter)
            return answer

    async def _stream(self, call: Call, target: Target) -> AsyncGenerator[bytes]:
        client, dialect = self._clients[target.trusted], call.dialect
        options = call.request.get("stream_options")
        usage_wanted = isinstance(options, Mapping) and bool(options.get("include_usage"))
        async with self._metered(call, target, {**call.request, "stream": True}) as meter:
            limited = meter.limited(call.request, parameter=dialect.output_limit)
            reader = StreamReader(dialect, target, meter, usage_wanted=usage_wanted)
            if target.speaks(dialect.name):
                fitted = fitting(limited, dialect, target)
                events = passing_on.stream(client, dialect, target, fitted, beta=call.beta)
            else:
                events = translation.stream(client, dialect, target, limited)
            async with aclosing(events):
                async for event in events:
                    if passed := reader.read(event):
                        yield passed
            last = reader.end()
        yield last

    def _metered(self, call: Call, target: Target, request: Mapping[str, Any]) -> Any:
        return self._metering.call(
            call.caller,
            model=target.priced_as,
            request=request,
            dialect=call.dialect.name,
            provider=target.provider,
            price=target.price,
        )


@dataclass(slots=True)
class _Attempt:
    target: Target
    on: frozenset[str]
    tries_left: int
    last: bool
    number: int
    settled: bool = False

    async def over(self, error: ModelError) -> None:
        """Return if there is a next attempt, after the pause that it takes. Raises the error if not."""
        _log(self.target, error)
        again = error.code in REPEATED and self.tries_left > 0
        pause = _pause(error, self.number)
        if again and pause <= _PATIENCE_SECONDS:
            await asyncio.sleep(pause)
            return
        self.settled = True
        if self.last or error.code not in self.on:
            raise error


def _attempts(route: Route) -> Iterator[_Attempt]:
    for position, target in enumerate(route.targets, start=1):
        for number in range(target.retries + 1):
            attempt = _Attempt(target, route.on, target.retries - number, position == len(route.targets), number)
            yield attempt
            if attempt.settled:
                break


def _pause(error: ModelError, number: int) -> float:
    """Seconds: what the provider asks for, or twice as long each time, each caller a little differently."""
    try:
        return float(error.headers["Retry-After"])
    except (KeyError, ValueError):
        return 0.25 * float(2**number) * random.uniform(0.75, 1.25)  # noqa: S311 - no secret


def _take_down(answer: bytes, call: Call, target: Target, meter: Meter) -> None:
    value = _object(answer, target)
    if call.dialect is RESPONSES and value.get("error"):
        raise answered(target, 500, value, {})
    if call.dialect is CHAT_COMPLETIONS and not value.get("choices") and value.get("error"):
        raise answered(target, 500, value, {})
    meter.heard(value.get("usage"))


def _object(answer: bytes, target: Target) -> dict[str, Any]:
    try:
        value = from_json(answer)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise unavailable(target, "its answer isn't JSON")
    return value


def _log(target: Target, error: ModelError) -> None:
    # As Python would write it: a name with a line break in it must not look like two lines.
    logger.warning("model %s answered %s: %s", repr(target.name)[1:-1], error.status, error.code)

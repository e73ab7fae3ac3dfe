"""How often one credential may ask: a token bucket each, in the memory of this process.

N processes let N times as much through; what must hold for all of them together belongs into the proxy in front. Health
checks, CORS preflights, workers and executions aren't limited. An event stream counts when it is opened. Whoever signs
in has no credential yet, so there the address counts.
"""

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from control_plane.auth import browser_cookies
from control_plane.auth.credentials import PREFIXES
from control_plane.auth.principals import Kind
from control_plane.problems import TooManyRequests, send_problem

_OF_MACHINES = tuple(
    PREFIXES[kind] for kind in (Kind.WORKER_KEY, Kind.JOIN_TOKEN, Kind.WORKER_SESSION, Kind.EXECUTION_TOKEN)
)
_LIMITED = ("/api/v1", "/run-history/api")
_SIGN_IN = ("/auth/sign-in", "/auth/callback", "/auth/sign-out")
_SIGN_IN_RATE, _SIGN_IN_BURST = 5, 100
"""At most, however much the settings allow: behind some of these requests is one to a provider."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What one bucket holds after a request asked it. `wait` is in seconds, 0 when there is nothing to wait for."""

    allowed: bool
    remaining: int
    wait: int


class Buckets:
    """Token buckets by key: each fills at `rate` a second up to `burst`. The least recently used are forgotten."""

    MOST: ClassVar = 10_000

    def __init__(self, *, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self.burst = burst
        self._clock = clock
        self._buckets: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def take(self, key: bytes) -> Standing:
        """Take one token, if there is one."""
        now = self._clock()
        tokens, then = self._buckets.pop(key, (float(self.burst), now))
        tokens = min(self.burst, tokens + (now - then) * self.rate)
        allowed = tokens >= 1
        self._buckets[key] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > self.MOST:
            self._buckets.popitem(last=False)
        left = self._buckets[key][0]
        return Standing(allowed, int(left), 0 if left >= 1 else math.ceil((1 - left) / self.rate))


class RateLimits:
    """Answer 429 to a credential that asks too often, and to an address that sends too many bad credentials.

    A valid credential is served whatever else its address sends: behind a proxy, all may come from one.
    """

    def __init__(self, app: ASGIApp, *, rate: float, burst: int) -> None:
        self.app = app
        self._credentials = Buckets(rate=rate, burst=burst)
        self._refused = Buckets(rate=rate, burst=burst)
        self._signing_in = Buckets(rate=min(rate, _SIGN_IN_RATE), burst=min(burst, _SIGN_IN_BURST))
        self._policy = f'"credential";q={burst};w={math.ceil(burst / rate)}'

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in _SIGN_IN:
            await self._sign_in(scope, receive, send)
            return
        if scope["type"] != "http" or not scope["path"].startswith(_LIMITED):
            await self.app(scope, receive, send)
            return
        # Without the scheme and blanks, which could be varied to get buckets without end.
        credential = Headers(scope=scope).get("authorization", "").partition(" ")[2].strip()
        credential = credential or browser_cookies.of(Request(scope)).session or ""
        answer = _Answer(scope, send, self._refused)
        if credential and not credential.startswith(_OF_MACHINES):
            standing = self._credentials.take(hashlib.sha256(credential.encode()).digest())
            answer.headers = self._described(standing)
            if not standing.allowed:
                await answer.too_many("This credential sends requests faster than this server accepts.", standing.wait)
                return
        await self.app(scope, receive, answer.send)

    async def _sign_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        standing = self._signing_in.take(_address(scope))
        if standing.allowed:
            await self.app(scope, receive, send)
            return
        answer = _Answer(scope, send, self._refused)
        await answer.too_many("Too many sign-ins came from your address.", standing.wait)

    def _described(self, standing: Standing) -> list[tuple[bytes, bytes]]:
        # As in draft-ietf-httpapi-ratelimit-headers-10.
        limit = f'"credential";r={standing.remaining};t={standing.wait}'
        return [(b"ratelimit-policy", self._policy.encode()), (b"ratelimit", limit.encode())]


class _Answer:
    """Passes on the answer to one request, unless it is one refused credential too many from its address."""

    def __init__(self, scope: Scope, send: Send, refused: Buckets) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self._scope = scope
        self._send = send
        self._refused = refused
        self._dropping = False

    async def send(self, message: Message) -> None:
        if self._dropping:
            return
        if message["type"] == "http.response.start":
            if message["status"] == 401:
                standing = self._refused.take(_address(self._scope))
                if not standing.allowed:
                    self._dropping = True
                    await self.too_many("Too many refused credentials came from your address.", standing.wait)
                    return
            message["headers"] = [*message.get("headers", []), *self.headers]
        await self._send(message)

    async def too_many(self, reason: str, wait: int) -> None:
        """Answer with 429 and when to come back."""

        async def send_described(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self.headers]
            await self._send(message)

        problem = TooManyRequests(f"{reason} Wait {wait} s.", headers={"Retry-After": str(wait)})
        await send_problem(send_described, scope=self._scope, problem=problem)


def _address(scope: Scope) -> bytes:
    return repr((scope.get("client") or ("",))[0]).encode()

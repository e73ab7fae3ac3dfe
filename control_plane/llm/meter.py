"""What is known of one model call: what it may use, what has arrived of it, what it cost in the end."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx

from control_plane.llm import bounds
from control_plane.llm.errors import ModelError
from control_plane.llm.prices import Price
from control_plane.llm.token_counts import TokenCounts

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)

_MAY_HAVE_COST = frozenset({408, 499, 504})
"""Nobody waited for the answer: the provider may have made it all the same. All other errors are refusals."""


@dataclass(slots=True)
class Meter:
    """One call under way. `output_limit` is what each answer may have at most; None: as the request says."""

    id: UUID
    model: str
    provider: str
    price: Price | None
    input_bound: int
    granted_output: int
    output_limit: int | None
    streamed: bool
    counted: TokenCounts | None = None
    arrived_bytes: int = 0
    outcome: str = "completed"

    def limited(self, request: Mapping[str, Any], *, parameter: str = "max_tokens") -> dict[str, Any]:
        """The request with the output limit in it, under the name that its dialect has for it."""
        if self.output_limit is None:
            return dict(request)
        named = next((name for name in bounds.OUTPUT_LIMITS if request.get(name)), parameter)
        others = {name: value for name, value in request.items() if name not in bounds.OUTPUT_LIMITS}
        return others | {named: self.output_limit}

    def used(
        self,
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cached_input_tokens: int = 0,
        cache_write_tokens: int = 0,
        model: str | None = None,
        provider: str | None = None,
    ) -> None:
        """What the provider says it has counted. `input_tokens` includes what was read from and written to a cache."""
        said = TokenCounts(input_tokens, output_tokens, cached_input_tokens, cache_write_tokens)
        self.counted = self.counted.joined(said) if self.counted else said
        self.model, self.provider = model or self.model, provider or self.provider

    def heard(self, usage: Mapping[str, Any] | None) -> None:
        """The same from a provider's `usage` object, in whichever dialect; None and an empty one say nothing."""
        if usage:
            said = TokenCounts.of(usage)
            self.counted = self.counted.joined(said) if self.counted else said

    def received(self, content: str | bytes) -> None:
        """Part of an answer has arrived: from now on the call costs something, whatever becomes of it."""
        self.arrived_bytes += max(1, len(content.encode() if isinstance(content, str) else content))

    def failed(self, error: BaseException) -> None:
        """The call has ended with this."""
        gone = isinstance(error, asyncio.CancelledError | GeneratorExit)
        if isinstance(error, ModelError) and not self.arrived_bytes and not _may_have_cost(error):
            self.outcome = "refused"
        else:
            self.outcome = "cancelled" if gone or getattr(error, "status", 0) == 499 else "failed"

    def totals(self) -> TokenCounts:
        """What it costs in tokens."""
        known_so_far = self.counted or TokenCounts()
        if self.outcome == "refused":
            return known_so_far
        if self.outcome == "completed" and self.counted and (self.counted.input or self.counted.output):
            return self.counted
        # A token is at least a byte.
        output = self.arrived_bytes if self.streamed or self.outcome == "completed" else 0
        return TokenCounts(
            known_so_far.input or self.input_bound,
            max(known_so_far.output, min(output, self.granted_output) if output else self._unheard()),
            known_so_far.cached_input,
            known_so_far.cache_write,
        )

    def _unheard(self) -> int:
        return 0 if self.streamed and self.outcome != "completed" else self.granted_output

    def cost(self) -> Decimal | None:
        """What it costs in USD; None if the model's price isn't known."""
        return self.price.of(self.totals()) if self.price else None


def _may_have_cost(error: ModelError) -> bool:
    """Whether the provider may have worked although there is no answer: it had the request, and nobody knows."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, httpx.TransportError):
        cause = cause.__cause__ or cause.__context__
    if cause is not None:
        return not isinstance(cause, _NEVER_SENT)
    return error.status in _MAY_HAVE_COST

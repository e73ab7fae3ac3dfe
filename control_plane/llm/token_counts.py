"""How many tokens a call used, whichever dialect says so."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens of one call. `input` is all that the model read; `cached_input` and `cache_write` are parts of it."""

    input: int = 0
    output: int = 0
    cached_input: int = 0
    cache_write: int = 0

    @classmethod
    def of(cls, usage: Mapping[str, Any]) -> Self:
        """What a provider's `usage` says: of OpenAI's chat completions or responses, or of Anthropic's messages.

        Anthropic counts what it read from its cache, and wrote into it, beside the input rather than as a part of it.
        """
        if "prompt_tokens" in usage or "completion_tokens" in usage:
            return cls(
                input=_number(usage.get("prompt_tokens")),
                output=_number(usage.get("completion_tokens")),
                cached_input=_number(_detail(usage, "prompt_tokens_details").get("cached_tokens")),
                cache_write=_number(usage.get("cache_creation_input_tokens")),
            )
        read, written = (
            _number(usage.get("cache_read_input_tokens")),
            _number(usage.get("cache_creation_input_tokens")),
        )
        return cls(
            input=_number(usage.get("input_tokens")) + read + written,
            output=_number(usage.get("output_tokens")),
            cached_input=read + _number(_detail(usage, "input_tokens_details").get("cached_tokens")),
            cache_write=written,
        )

    def joined(self, later: "TokenCounts") -> "TokenCounts":
        """Both of what a stream said one after the other: each is a total so far, or says nothing."""
        return TokenCounts(
            max(self.input, later.input),
            max(self.output, later.output),
            max(self.cached_input, later.cached_input),
            max(self.cache_write, later.cache_write),
        )


def _detail(usage: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = usage.get(name)
    return found if isinstance(found, Mapping) else {}


def _number(value: object) -> int:
    return max(0, int(value)) if isinstance(value, int | float) else 0

"""What models cost: LiteLLM's list, which comes with it and is never fetched, or what an organization says itself."""

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from control_plane.llm.loading import loaded
from control_plane.llm.token_counts import TokenCounts

_MILLION = Decimal(1_000_000)
_OTHER_TARIFFS = ("_batches", "_priority", "_flex", "_ultrafast", "_balanced", "_per_audio_token", "_per_image_token")
"""Of calls that the gateway never makes: it passes no `service_tier` on, no sound and no batch."""


class ModelPrice(BaseModel):
    """What an organization pays for a model, in USD for a million tokens. It goes before LiteLLM's list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Decimal = Field(ge=0, le=1_000_000, max_digits=13, decimal_places=6)
    output: Decimal = Field(ge=0, le=1_000_000, max_digits=13, decimal_places=6)
    cached_input: Decimal | None = Field(
        default=None, ge=0, le=1_000_000, max_digits=13, decimal_places=6, description="Default: as `input`."
    )
    cache_write: Decimal | None = Field(
        default=None, ge=0, le=1_000_000, max_digits=13, decimal_places=6, description="Default: as `input`."
    )


@dataclass(frozen=True, slots=True)
class Price:
    """USD for one token. Above `long_from` input tokens everything costs `long` instead.

    `dearest_input` is the most that a token of a request may cost, in whichever of these ways it is counted.
    """

    input: Decimal
    output: Decimal
    cached_input: Decimal
    cache_write: Decimal
    dearest_input: Decimal
    dearest_output: Decimal
    long_from: int | None = None
    long: "Price | None" = None

    @classmethod
    def said(cls, price: ModelPrice) -> Self:
        """What an organization says."""
        cached = price.input if price.cached_input is None else price.cached_input
        written = price.input if price.cache_write is None else price.cache_write
        return cls(
            input=price.input / _MILLION,
            output=price.output / _MILLION,
            cached_input=cached / _MILLION,
            cache_write=written / _MILLION,
            dearest_input=max(price.input, cached, written) / _MILLION,
            dearest_output=price.output / _MILLION,
        )

    def of(self, used: TokenCounts) -> Decimal:
        """What a call has cost."""
        if self.long is not None and self.long_from is not None and used.input > self.long_from:
            return self.long.of(used)
        fresh = max(0, used.input - used.cached_input - used.cache_write)
        return (
            fresh * self.input
            + used.cached_input * self.cached_input
            + used.cache_write * self.cache_write
            + used.output * self.output
        )


_FREE = Price.said(ModelPrice(input=Decimal(0), output=Decimal(0)))


@dataclass(frozen=True, slots=True)
class KnownModel:
    """What LiteLLM's list says of a model: None where it says nothing."""

    price: Price | None = None
    most_input: int | None = None
    most_output: int | None = None


@lru_cache(maxsize=4_096)
def known(model: str) -> KnownModel:
    """What is known of `provider/model`. The scripted models cost nothing."""
    if model.startswith("scripted/"):
        return KnownModel(_FREE)
    listed = _listed(model)
    return KnownModel(_price(listed), _number(listed, "max_input_tokens"), _number(listed, "max_output_tokens"))


def _listed(model: str) -> dict[str, Any]:
    litellm = loaded()
    try:
        key = litellm.get_model_info(model)["key"]
    except Exception:  # noqa: BLE001 - it raises a bare one for what it doesn't know
        return {}
    listed: dict[str, Any] = litellm.model_cost.get(key, {})
    return listed


def _price(listed: dict[str, Any]) -> Price | None:
    if listed.get("input_cost_per_token") is None or listed.get("output_cost_per_token") is None:
        return None
    costs = {
        name: Decimal(str(cost))
        for name, cost in listed.items()
        if "cost" in name and isinstance(cost, int | float) and not any(part in name for part in _OTHER_TARIFFS)
    }
    inputs = ("input_cost_per_token", "cache_creation_input_token_cost", "cache_read_input_token_cost")
    outputs = ("output_cost_per_token", "output_cost_per_reasoning_token")
    dearest_input = max(cost for name, cost in costs.items() if name.startswith(inputs))
    dearest_output = max(cost for name, cost in costs.items() if name.startswith(outputs))

    def priced(suffix: str = "", long_from: int | None = None, long: Price | None = None) -> Price:
        def cost(name: str, default: Decimal) -> Decimal:
            return costs.get(name + suffix, costs.get(name, default))

        read = cost("input_cost_per_token", dearest_input)
        return Price(
            input=read,
            output=max(cost("output_cost_per_token", dearest_output), costs.get(outputs[1], Decimal(0))),
            cached_input=cost("cache_read_input_token_cost", read),
            cache_write=cost("cache_creation_input_token_cost", read),
            dearest_input=dearest_input,
            dearest_output=dearest_output,
            long_from=long_from,
            long=long,
        )

    thresholds = [
        int(name.removeprefix("input_cost_per_token_above_").removesuffix("k_tokens")) * 1_000
        for name in costs
        if name.startswith("input_cost_per_token_above_") and name.endswith("k_tokens")
    ]
    if not thresholds:
        return priced()
    # Of several the lowest, at the price of the highest: rather a little too much than too little.
    lowest, highest = min(thresholds), max(thresholds)
    return priced(long_from=lowest, long=priced(f"_above_{highest // 1_000}k_tokens"))


def _number(listed: dict[str, Any], name: str) -> int | None:
    found = listed.get(name)
    return int(found) if isinstance(found, int | float) and found > 0 else None

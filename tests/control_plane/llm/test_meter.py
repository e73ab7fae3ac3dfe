import asyncio
from decimal import Decimal
from uuid import uuid4

import httpx
import pytest

from control_plane.llm.errors import ModelError
from control_plane.llm.meter import Meter
from control_plane.llm.prices import ModelPrice, Price

pytestmark = pytest.mark.unit

PRICE = Price.said(
    ModelPrice(input=Decimal(2), output=Decimal(10), cached_input=Decimal("0.5"), cache_write=Decimal(3))
)


def meter(*, streamed: bool = False) -> Meter:
    """A call that has reserved 100 tokens of input and 1,000 of output."""
    return Meter(
        id=uuid4(),
        model="own/model",
        provider="own",
        price=PRICE,
        input_bound=100,
        granted_output=1_000,
        output_limit=None,
        streamed=streamed,
    )


def lost(cause: Exception) -> ModelError:
    """What the gateway raises when the connection to a provider breaks."""
    error = ModelError("It doesn't answer.", status=503, code="unavailable")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "streamed", "outcome", "costs"),
    [
        (ModelError("No.", status=400, code="refused"), False, "refused", (0, 0)),
        (ModelError("Busy.", status=503, code="unavailable"), True, "refused", (0, 0)),
        (ModelError("Late.", status=504, code="timeout"), False, "failed", (100, 1_000)),
        (ModelError("Gone.", status=499, code="disconnected"), False, "cancelled", (100, 1_000)),
        (ModelError("Gone.", status=499, code="disconnected"), True, "cancelled", (100, 0)),
        (asyncio.CancelledError(), True, "cancelled", (100, 0)),
        (RuntimeError("a bug"), False, "failed", (100, 1_000)),
        (lost(httpx.ConnectError("no route")), False, "refused", (0, 0)),
        (lost(httpx.ConnectTimeout("no answer")), False, "refused", (0, 0)),
        (lost(httpx.ReadError("reset")), False, "failed", (100, 1_000)),
    ],
)
def test_a_call_without_an_answer_costs_what_the_provider_may_count(
    error: BaseException, *, streamed: bool, outcome: str, costs: tuple[int, int]
) -> None:
    call = meter(streamed=streamed)

    call.failed(error)

    assert call.outcome == outcome
    assert (call.totals().input, call.totals().output) == costs


def test_of_a_stream_that_broke_off_the_larger_of_what_arrived_and_what_was_said_counts() -> None:
    call = meter(streamed=True)
    call.used(input_tokens=40, output_tokens=1)

    call.received("Grüße")
    call.failed(ModelError("It broke off.", status=502, code="stream_interrupted"))

    assert (call.totals().input, call.totals().output) == (40, 7)


def test_a_stream_that_broke_off_costs_no_more_output_than_it_was_allowed() -> None:
    call = meter(streamed=True)

    call.received("x" * 5_000)
    call.failed(ModelError("It broke off.", status=502, code="stream_interrupted"))

    assert call.totals().output == 1_000


def test_a_whole_answer_of_which_nobody_says_what_it_used_costs_all_that_it_may_have_used() -> None:
    call = meter()

    call.heard(None)

    assert (call.totals().input, call.totals().output) == (100, 1_000)


def test_a_streamed_answer_of_which_nobody_says_what_it_used_costs_what_has_arrived() -> None:
    call = meter(streamed=True)

    call.received("Hello")

    assert (call.totals().input, call.totals().output) == (100, 5)


def test_what_a_stream_says_in_parts_is_put_together() -> None:
    call = meter(streamed=True)

    call.heard({"input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": 20})
    call.heard({"output_tokens": 30})

    assert (call.totals().input, call.totals().cached_input, call.totals().output) == (30, 20, 30)


def test_what_was_read_from_a_cache_or_written_into_one_has_its_own_price() -> None:
    call = meter()

    call.used(input_tokens=1_000_000, cached_input_tokens=400_000, cache_write_tokens=100_000, output_tokens=100_000)

    assert call.cost() == Decimal("0.5") * 2 + Decimal("0.4") / 2 + Decimal("0.1") * 3 + Decimal(1)


def test_the_limit_of_output_goes_where_the_request_has_one_and_takes_the_place_of_all_others() -> None:
    call = meter()
    call.output_limit = 300

    limited = call.limited({"model": "m", "max_tokens": 500, "max_completion_tokens": 900})
    added = call.limited({"model": "m"}, parameter="max_output_tokens")

    assert limited == {"model": "m", "max_tokens": 300}
    assert added == {"model": "m", "max_output_tokens": 300}

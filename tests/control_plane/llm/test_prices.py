from decimal import Decimal

import pytest

from control_plane.llm.prices import known
from control_plane.llm.token_counts import TokenCounts

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("_litellm")]


def test_litellms_list_tells_price_and_limits_of_a_model_by_either_of_its_names() -> None:
    found = known("anthropic/claude-sonnet-4-5")

    assert found.price
    assert found.price.of(TokenCounts(1_000_000, 1_000_000)) == pytest.approx(Decimal(18))
    assert found.price.of(TokenCounts(1_000_000, 0, cached_input=1_000_000)) == pytest.approx(Decimal("0.3"))
    assert found.price.of(TokenCounts(1_000_000, 0, cache_write=1_000_000)) == pytest.approx(Decimal("3.75"))
    assert found.most_output == 64_000
    assert known("claude-sonnet-4-5") == found


def test_what_is_reserved_for_input_is_at_the_dearest_way_to_count_it() -> None:
    found = known("anthropic/claude-sonnet-4-5")

    assert found.price
    assert found.price.dearest_input == Decimal("0.000006")  # an hour in the cache


def test_a_long_request_has_the_price_of_long_requests() -> None:
    found = known("gemini/gemini-2.5-pro")

    assert found.price
    assert found.price.of(TokenCounts(100_000, 0)) == pytest.approx(Decimal("0.125"))
    assert found.price.of(TokenCounts(300_000, 0)) == pytest.approx(Decimal("0.75"))
    assert found.price.dearest_input >= Decimal("0.0000025")


def test_a_scripted_model_costs_nothing() -> None:
    found = known("scripted/script")

    assert found.price
    assert found.price.of(TokenCounts(1_000, 1_000)) == 0


def test_of_a_model_that_nobody_knows_there_is_no_price() -> None:
    assert known("own/model").price is None

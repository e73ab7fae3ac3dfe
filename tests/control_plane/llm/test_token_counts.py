from typing import Any

import pytest

from control_plane.llm.token_counts import TokenCounts

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (
            {"prompt_tokens": 50, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 20}},
            TokenCounts(50, 7, cached_input=20),
        ),
        (
            {"input_tokens": 50, "output_tokens": 7, "input_tokens_details": {"cached_tokens": 20}},
            TokenCounts(50, 7, cached_input=20),
        ),
        (
            {
                "input_tokens": 50,
                "output_tokens": 7,
                "cache_read_input_tokens": 20,
                "cache_creation_input_tokens": 30,
            },
            TokenCounts(100, 7, cached_input=20, cache_write=30),
        ),
        ({"input_tokens": None, "output_tokens": "many", "prompt_tokens_details": None}, TokenCounts()),
        ({"prompt_tokens": -5, "completion_tokens": 7}, TokenCounts(0, 7)),
    ],
)
def test_usage_is_understood_in_every_dialect(usage: dict[str, Any], counted: TokenCounts) -> None:
    assert TokenCounts.of(usage) == counted

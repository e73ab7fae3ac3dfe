from typing import Any

import pytest

from control_plane.wire.mending import mended

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ("a\x00b", "a\ufffdb"),
        ("a\ud800b", "a?b"),
        ("a\udc80c", "a?c"),
        (float("nan"), None),
        (float("inf"), None),
        (["\x00", ["\ud800"]], ["\ufffd", ["?"]]),
        ({"k\x00": {"\ud800": "\x00"}}, {"k\ufffd": {"?": "\ufffd"}}),
    ],
)
def test_what_can_not_be_written_down_is_replaced(found: Any, kept: Any) -> None:
    assert mended(found) == kept


@pytest.mark.parametrize("value", ["", "Grüße 🚀 \u2028", 0, 1.5, True, None, [], {}, {"a": [1, {"b": None}]}])
def test_what_can_be_written_down_is_left_alone(value: Any) -> None:
    assert mended(value) == value

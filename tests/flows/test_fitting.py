import json

import pytest

from flows.fitting import cut, fitted, size

pytestmark = pytest.mark.unit

MOST = 1000


@pytest.mark.parametrize("character", ["x", "é", "\x01", '"', "\U0001f600"])
def test_a_text_is_cut_to_the_bytes_it_takes_as_json_and_says_so(character: str) -> None:
    text = character * MOST

    kept = cut(text, MOST)

    assert MOST - 20 <= size(kept) <= MOST
    assert kept.startswith(character)
    assert kept.endswith(f"… (cut: it has {MOST} characters)")


def test_a_text_that_just_fits_is_whole() -> None:
    text = "x" * (MOST - 2)

    assert cut(text, MOST) == text


def test_what_fits_is_not_touched() -> None:
    data = {"data": {"tool_output": "x" * 500}}

    assert fitted(data, MOST) is data


def test_only_texts_are_cut_and_the_rest_stays() -> None:
    data = fitted({"data": {"name": "read", "output": {"lines": ["x" * 5000, 7], "more": "é" * 5000}}}, MOST)

    assert size(data) <= MOST
    assert json.loads(json.dumps(data))["data"]["name"] == "read"
    assert json.loads(json.dumps(data))["data"]["output"]["lines"][1] == 7


def test_what_is_too_much_without_long_texts_becomes_one_text() -> None:
    data = fitted({"rows": [1] * 5000}, MOST)

    assert size(data) <= MOST
    assert str(data["cut"]).startswith('{"rows": [1, 1')

import pytest

from toolsets.outputs import fits, shortened

pytestmark = pytest.mark.unit


def test_a_long_text_is_cut_with_a_note() -> None:
    assert shortened("x" * 11, 10) == "x" * 10 + "… (cut: the first 10 of 11 characters)"


def test_the_note_says_where_the_whole_is() -> None:
    note = "… (cut: the first 10 of 11 characters; the whole is kept as artifact 7)"

    assert shortened("x" * 11, 10, kept="artifact 7") == "x" * 10 + note


def test_a_text_of_just_the_most_characters_is_whole() -> None:
    assert shortened("ü" * 10, 10) == "ü" * 10
    assert fits("ü" * 10, 10)


def test_a_large_structure_is_cut_as_text() -> None:
    assert shortened({"rows": ["ü" * 100]}, 15) == '{"rows": ["üüüü… (cut: the first 15 of 114 characters)'

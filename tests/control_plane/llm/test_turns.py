import pytest

from control_plane.llm.turns import Turn, count_tokens, pieces

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("Hello", ["Hello"]),
        ("Hello brave\n\nworld ", ["Hello", " brave", "\n\nworld", " "]),
        ("  indented", ["  indented"]),
    ],
)
def test_a_piece_is_a_word_with_the_white_space_before_it(text: str, expected: list[str]) -> None:
    found = list(pieces(text))

    assert found == expected


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2)])
def test_a_token_is_four_characters(text: str, tokens: int) -> None:
    counted = count_tokens(text)

    assert counted == tokens


def test_a_turn_lasts_its_delay_and_its_pieces() -> None:
    turn = Turn(text="one two three", delay_seconds=1, seconds_a_piece=0.5)

    assert turn.seconds == 2.5

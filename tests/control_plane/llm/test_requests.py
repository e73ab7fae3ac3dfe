import pytest

from control_plane.llm.errors import ModelError
from control_plane.llm.requests import _check_bounds
from control_plane.llm.translation import _refuse_addresses

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", ["image_url", "file_url", "file_data", "file_id"])
@pytest.mark.parametrize("address", ["https://example.com/book.pdf", "http://169.254.169.254/x"])
def test_no_part_of_a_message_is_fetched_by_litellm(name: str, address: str) -> None:
    with pytest.raises(ModelError, match="data:"):
        _refuse_addresses([{"role": "user", "content": [{"type": "file", "file": {name: address}}]}])


def test_a_file_that_comes_with_the_message_is_let_through() -> None:
    file = {"file_data": "data:text/plain;base64,eA=="}

    _refuse_addresses([{"role": "user", "content": [{"type": "file", "file": file}]}])


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "max_output_tokens", "n"])
@pytest.mark.parametrize("value", ["64", 64.0, True, 0, -1])
def test_what_budgets_are_reserved_by_is_a_number(name: str, value: object) -> None:
    with pytest.raises(ModelError, match="whole number"):
        _check_bounds({name: value})

from typing import Any

import pytest

from control_plane.llm.bounds import input_bound, stated_output
from control_plane.llm.prices import KnownModel

pytestmark = pytest.mark.unit

KNOWN = KnownModel(most_input=200_000)


def asked(content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}]}


def test_a_request_has_no_more_tokens_than_bytes_whatever_it_is_written_in() -> None:
    greek = asked("λόγος" * 100)

    assert input_bound(greek, KNOWN) >= len(("λόγος" * 100).encode())


def test_tools_come_with_words_of_the_provider() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]

    assert input_bound(asked("Hello") | {"tools": tools}, KNOWN) > input_bound(asked("Hello"), KNOWN) + 1_000


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://example.com/large.png"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
        {"type": "input_image", "image_url": "https://example.com/large.png"},
    ],
)
def test_an_image_may_have_many_more_tokens_than_its_bytes(part: dict[str, Any]) -> None:
    assert input_bound(asked([part]), KNOWN) > 50_000


@pytest.mark.parametrize(
    "part",
    [
        {"type": "document", "source": {"type": "url", "url": "https://example.com/book.pdf"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "input_file", "file_url": "https://example.com/book.pdf"},
    ],
)
def test_what_the_request_only_points_at_may_fill_the_whole_window(part: dict[str, Any]) -> None:
    assert input_bound(asked([part]), KNOWN) > 200_000


def test_a_text_that_looks_like_such_a_part_is_only_a_text() -> None:
    assert input_bound(asked('{"type":"document"} {"type":"image"}'), KNOWN) < 1_000


@pytest.mark.parametrize(
    ("request_", "output"),
    [
        ({}, None),
        ({"max_tokens": None}, None),
        ({"max_tokens": 100}, 100),
        ({"max_completion_tokens": 100, "n": 4}, 400),
        ({"max_tokens": 100, "max_output_tokens": 300}, 300),
    ],
)
def test_the_output_that_a_request_allows_is_that_of_all_its_answers(
    request_: dict[str, Any], output: int | None
) -> None:
    assert stated_output(request_) == output

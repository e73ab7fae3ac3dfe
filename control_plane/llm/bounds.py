"""How many tokens a call can use at most, said without a tokenizer."""

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from control_plane.llm.prices import KnownModel

DEFAULT_OUTPUT = 8_192
"""What a call may answer whose request sets no limit and whose model has none that is known. The call is then held to
it, since somebody has to."""

_WINDOW = 1_000_000
"""What a model reads at most of which that isn't known either."""

_TOOLS = 1_000
"""Providers tell the model in words of their own how to use tools: Anthropic in some 350 tokens, others in fewer."""

_AN_IMAGE = 50_000
"""The dearest way to count a single image (gpt-4o-mini, in detail); its bytes say nothing of its size."""

_IMAGES = (b'"type":"image', b'"type":"input_image')
_OUT_OF_SIGHT = (
    b'"file_id"', b'"file_url"', b'"previous_response_id"', b'"type":"document"', b'"type":"file"',
    b'"type":"input_file"', b'"type":"input_audio"', b'"type":"url"',
)  # fmt: skip
"""Signs of content whose size the request doesn't show. In a text they would stand behind backslashes."""

OUTPUT_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")


def input_bound(request: Mapping[str, Any], known: KnownModel) -> int:
    """More tokens than the request can have: a token is at least one byte, and JSON only adds bytes."""
    content = to_json(request, fallback=str)
    bound = len(content) + _AN_IMAGE * sum(content.count(sign) for sign in _IMAGES)
    if request.get("tools"):
        bound += _TOOLS
    if any(sign in content for sign in _OUT_OF_SIGHT):
        bound += known.most_input or _WINDOW
    return bound


def stated_output(request: Mapping[str, Any]) -> int | None:
    """How much output the request itself allows, over all of its choices; None if it doesn't say."""
    stated = [value for name in OUTPUT_LIMITS if isinstance(value := request.get(name), int) and value > 0]
    return max(stated) * choices(request) if stated else None


def choices(request: Mapping[str, Any]) -> int:
    """How many answers the request asks for."""
    asked = request.get("n")
    return asked if isinstance(asked, int) and asked > 1 else 1

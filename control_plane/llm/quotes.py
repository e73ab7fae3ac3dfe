"""Quoted text, set aside so that nothing in it is taken for a word of the request."""

import re
from collections.abc import Sequence

MARK = r"\x01(\d+)\x01"
"""A pattern of what stands in place of a quotation."""

_QUOTED = re.compile(r'"[^"]*"|`[^`]*`|“[^“”]*”')


def set_aside(text: str) -> tuple[str, list[str]]:
    """The text with a mark in place of each quotation, and the quotations with their quotation marks."""
    quotations: list[str] = []

    def mark(found: re.Match[str]) -> str:
        quotations.append(found.group())
        return f"\x01{len(quotations) - 1}\x01"

    return _QUOTED.sub(mark, text.replace("\x01", "")), quotations


def put_back(text: str, quotations: Sequence[str]) -> str:
    """The text with the quotations in place of their marks."""
    return re.sub(MARK, lambda found: quotations[int(found.group(1))], text)

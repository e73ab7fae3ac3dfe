"""JSON as a request brings it, read strictly: what could be read in two ways is refused."""

import json
import re
from typing import Any

from fastapi import Request

MOST_LEVELS = 100
"""Objects and lists inside each other. Nobody needs as many, and what reads them after us may be recursive."""

_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)
_OPENING = frozenset({b"[", b"{"})


class JsonRequest(Request):
    """A request whose `json()` raises `JSONDecodeError` for everything that can't be read, and says why."""

    async def json(self) -> Any:
        """The body. Refuses bytes that aren't UTF-8, a name given twice, and what is too deep or too long to read."""
        body = await self.body()
        _check_levels(body)
        try:
            return json.loads(body.decode(), object_pairs_hook=_object)
        except UnicodeDecodeError as error:
            raise json.JSONDecodeError("The body is not UTF-8", "", error.start) from error
        except json.JSONDecodeError:
            raise
        except ValueError as error:  # an integer of thousands of digits, or a name given twice
            raise json.JSONDecodeError(str(error).partition(";")[0], "", 0) from error


def _check_levels(body: bytes) -> None:
    if body.count(b"[") + body.count(b"{") <= MOST_LEVELS:
        return
    level = 0
    for token in _STRING_OR_BRACKET.finditer(body):
        if token[0] in _OPENING:
            level += 1
        elif token[0][:1] != b'"':
            level -= 1
        if level > MOST_LEVELS:
            raise json.JSONDecodeError(f"The body is nested more than {MOST_LEVELS} levels deep", "", token.start())


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"The name {twice[:100]!a} is given twice in one object")
    return read

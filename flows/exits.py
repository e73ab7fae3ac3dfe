"""Foreign code that ends the program: in a task, asyncio would end it at once, with nothing told."""

from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class ProgramEnded(Exception):
    """Foreign code wanted to end the program."""


async def surviving(work: Awaitable[T]) -> T:
    """What the work returns. Raises `ProgramEnded` in place of `SystemExit`."""
    try:
        return await work
    except SystemExit as error:
        raise ProgramEnded from error

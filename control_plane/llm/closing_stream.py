"""A streamed answer that ends what it comes from, also if nobody ever reads it."""

from collections.abc import AsyncGenerator
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


class ClosingStream(StreamingResponse):
    """`StreamingResponse` of lines made from `source`, which is closed at the end of the answer.

    A caller who is gone before the first line keeps Starlette from ever starting the iterator of the lines, and what
    stands in its `finally` would never run.
    """

    def __init__(self, lines: AsyncGenerator[bytes], *, source: AsyncGenerator[Any], media_type: str) -> None:
        super().__init__(lines, media_type=media_type)
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, as ASGI has it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._source.aclose()

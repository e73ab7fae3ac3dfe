"""What the provider sends, written straight to the connection, so that it can stop in the middle as real ones do."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from tests.provider.frames import Frame
from tests.provider.turns import Wait


@dataclass(frozen=True, slots=True)
class Watched:
    """`reached` is set where an answer waits, `abandoned` when the client leaves before its end."""

    reached: asyncio.Event
    abandoned: asyncio.Event


class Answer:
    """Frames as they come. With `cut` the connection breaks behind the last one."""

    def __init__(self, frames: Iterable[Frame], *, watched: Watched, cut: bool = False, whole: bool = False) -> None:
        self._frames = frames
        self._watched = watched
        self._cut = cut
        self._kind = b"application/json" if whole else b"text/event-stream"
        self._whole = whole

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(self._send(send))
        leaving = asyncio.create_task(_left(receive))
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not sending.done():
            self._watched.abandoned.set()
        for task in (sending, leaving):
            task.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        headers = [(b"content-type", self._kind)]
        start = {"type": "http.response.start", "status": 200, "headers": headers}
        begun = False
        for frame in self._frames:
            if isinstance(frame, Wait):
                self._watched.reached.set()
                await frame.until.wait()
                continue
            if not begun:
                await send(start)
                begun = True
            await send({"type": "http.response.body", "body": frame.encode(), "more_body": True})
            await asyncio.sleep(0)  # each frame a chunk of its own, as over a real network
        if not self._cut:
            await send({"type": "http.response.body", "body": b""})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

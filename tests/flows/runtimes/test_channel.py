import asyncio
from contextlib import aclosing

import pytest

from flows.exits import ProgramEnded
from flows.runtimes.channel import Channel
from flows.runtimes.protocol import TextChunk

pytestmark = pytest.mark.unit


async def test_who_tells_goes_on_when_it_has_been_taken_in() -> None:
    channel, order = Channel(), list[str]()

    async def work() -> None:
        await channel.tell(TextChunk("one"))
        order.append("went on")

    async for _ in channel.during(work()):
        await asyncio.sleep(0)
        order.append("taken in")

    assert order == ["taken in", "went on"]


async def test_closing_it_cancels_the_work() -> None:
    channel, stopped = Channel(), asyncio.Event()

    async def work() -> None:
        try:
            await channel.tell(TextChunk("one"))
        finally:
            stopped.set()

    async with aclosing(channel.during(work())) as signals:
        await anext(signals)

    assert stopped.is_set()


@pytest.mark.parametrize(("error", "raised"), [(ValueError("x"), ValueError), (SystemExit(1), ProgramEnded)])
async def test_what_the_work_raises_is_raised(error: BaseException, raised: type[Exception]) -> None:
    async def work() -> None:
        raise error

    with pytest.raises(raised):
        await anext(Channel().during(work()))

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from control_plane.llm import passing_on
from control_plane.llm.dialects import CHAT_COMPLETIONS
from control_plane.llm.errors import ModelError
from control_plane.llm.event_stream import DONE, Splitter, StreamReader
from control_plane.llm.meter import Meter
from control_plane.llm.targets import of_the_server
from tests.control_plane.llm.streams import events_of
from tests.control_plane.llm.upstream import UPSTREAM_KEY
from tests.provider.server import Provider
from tests.provider.turns import says, waits

FINISHED = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'


def reader() -> StreamReader:
    meter = Meter(
        id=uuid4(), model="m", provider="p", price=None, input_bound=9, granted_output=9, output_limit=None,
        streamed=True,
    )  # fmt: skip
    return StreamReader(CHAT_COMPLETIONS, of_the_server("openai/m"), meter, usage_wanted=False)


@pytest.mark.unit
@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
def test_events_are_whole_however_they_arrive(size: int, end: bytes) -> None:
    text = b"data: 1" + end + b": alive" + end + b"event: x\ndata: 2" + end
    splitter = Splitter()

    events = [event for at in range(0, len(text), size) for event in splitter.feed(text[at : at + size])]

    assert events == [b"data: 1\n\n", b": alive\n\n", b"event: x\ndata: 2\n\n"]


@pytest.mark.unit
def test_a_stream_without_a_last_word_is_whole_once_it_has_given_its_reason() -> None:
    following = reader()

    passed = following.read(FINISHED)

    assert passed == FINISHED
    assert following.end() == DONE


@pytest.mark.unit
def test_a_stream_without_either_is_broken() -> None:
    following = reader()
    following.read(b'data: {"choices":[{"delta":{"content":"Half"}}]}\n\n')

    with pytest.raises(ModelError, match="broke its answer off") as broken:
        following.end()

    assert broken.value.code == "stream_interrupted"


@pytest.mark.unit
def test_what_keeps_a_connection_alive_passes() -> None:
    assert reader().read(b": processing\n\n") == b": processing\n\n"


@pytest.mark.integration
async def test_each_token_is_passed_on_before_the_next_one_comes(
    http: Callable[[str], httpx.AsyncClient], provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", UPSTREAM_KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", provider.openai_url)
    go_on = asyncio.Event()
    provider.will(says("First") + waits(go_on) + says("Second"))
    body: dict[str, Any] = {"model": "openai/m", "messages": [{"role": "user", "content": "Hello"}], "stream": True}

    async with http("openai/m").stream("POST", "/chat/completions", json=body) as answer:
        lines = answer.aiter_lines()
        head = [await anext(lines) for _ in range(3)]
        waiting = not go_on.is_set()
        go_on.set()
        rest = [line async for line in lines]

    said = [event["choices"][0]["delta"].get("content") for event in events_of("\n".join([*head, *rest]))]
    assert waiting
    assert "First" in head[2]
    assert said == ["", "First", "Second", None]


@pytest.mark.integration
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_without_end_is_given_up(
    http: Callable[[str], httpx.AsyncClient], provider: Provider, monkeypatch: pytest.MonkeyPatch, *, stream: bool
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", UPSTREAM_KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", provider.openai_url)
    monkeypatch.setattr(passing_on, "_MOST_BYTES", 100_000)
    provider.will(says("x" * 300_000))
    body: dict[str, Any] = {"model": "openai/m", "messages": [{"role": "user", "content": "Hello"}], "stream": stream}

    answer = await http("openai/m").post("/chat/completions", json=body)

    assert "its answer is too large" in answer.text
    assert len(answer.content) < 2_000

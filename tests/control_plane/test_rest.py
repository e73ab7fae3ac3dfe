import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from control_plane import rest
from control_plane.client import Unreachable
from control_plane.rest import Rest, StreamedEvent
from tests.serving import serving

pytestmark = pytest.mark.integration

EVENTS = [f'id: {number}\nevent: status\ndata: {{"status": "{number}"}}\n\n' for number in (1, 2)]
DONE = 'id: 3\nevent: done\ndata: {"status": "completed"}\n\n'


class Unsteady:
    """A server whose next answer is the next of `turns`."""

    def __init__(self, *turns: Response) -> None:
        self.turns = list(turns)
        self.resumed_after: list[str | None] = []
        self.app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST"])])

    async def _answer(self, request: Request) -> Response:
        self.resumed_after.append(request.headers.get("last-event-id"))
        return self.turns.pop(0)


def stream(*parts: str) -> Response:
    async def sent() -> AsyncIterator[str]:
        for part in parts:
            yield part

    return StreamingResponse(sent(), media_type="text/event-stream")


async def followed(server: Unsteady) -> list[StreamedEvent]:
    async with serving(server.app, lifespan=False) as url:
        with Rest(url, "cp_key_x") as client:
            return await asyncio.to_thread(lambda: list(client.follow("e")))


async def test_following_goes_on_after_a_break_and_after_a_server_that_is_not_ready() -> None:
    server = Unsteady(
        stream(EVENTS[0]),
        PlainTextResponse("away", 503),
        PlainTextResponse("proxy", 502),
        stream(": ping\n\n", EVENTS[1], ": ping\n\n", DONE),
    )

    events = await followed(server)

    assert [event.number for event in events] == [1, 2, 3]
    assert server.resumed_after == ["0", "1", "1", "1"]


async def test_following_ends_with_an_explanation_when_nobody_answers_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rest, "_PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(rest, "_RECONNECT_AFTER_SECONDS", 0.1)
    server = Unsteady(stream(EVENTS[0]), *(PlainTextResponse("away", 503) for _ in range(20)))

    with pytest.raises(Unreachable, match="no longer answers"):
        await followed(server)


async def test_what_is_no_control_plane_is_told_as_such() -> None:
    async with serving(Unsteady(PlainTextResponse("<html>")).app, lifespan=False) as url:
        with Rest(url, "cp_key_x") as client, pytest.raises(Unreachable, match="is no control plane"):
            await asyncio.to_thread(client.get, "/agents")


async def test_a_credential_for_this_machine_is_shown_to_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Unsteady(PlainTextResponse("{}"))
    own = Unsteady(PlainTextResponse("[]"))
    async with serving(proxy.app, lifespan=False) as proxy_url, serving(own.app, lifespan=False) as url:
        monkeypatch.setenv("HTTP_PROXY", proxy_url)
        with Rest(url, "cp_key_x") as client:
            answer = await asyncio.to_thread(client.get, "/agents")

    assert answer == []
    assert proxy.resumed_after == []

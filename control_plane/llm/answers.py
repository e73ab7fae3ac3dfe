"""What a caller receives of a call: all at once, or a stream that ends with the call."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import Response

from control_plane.llm.closing_stream import ClosingStream
from control_plane.llm.dialect_route import while_connected
from control_plane.llm.dialects import Dialect
from control_plane.llm.errors import ModelError
from control_plane.llm.gateway import Call, Gateway


async def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.model_gateway
    return gateway


ModelGateway = Annotated[Gateway, Depends(_gateway)]


async def answer(request: Request, body: Mapping[str, Any], *, gateway: Gateway, call: Call) -> Response:
    """The answer to a call. A caller that disconnects stops it. Raises `ModelError`."""
    if not body.get("stream"):
        return Response(await while_connected(request, gateway.complete(call)), media_type="application/json")
    events = gateway.stream(call)
    # Waited for here, so that what goes wrong at the start has a status of its own.
    first = await while_connected(request, anext(events))
    return ClosingStream(_sent(first, events, call.dialect), source=events, media_type="text/event-stream")


async def _sent(first: bytes, events: AsyncGenerator[bytes], dialect: Dialect) -> AsyncGenerator[bytes]:
    async with aclosing(events):
        yield first
        try:
            async for event in events:
                yield event
        except ModelError as error:
            yield dialect.event_of(error)

"""The WebSockets of `/prefect/api`: a worker's channel, events in, and events out."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Depends, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from control_plane.auth.permissions import Permission
from control_plane.prefect_gateway import worker_channel
from control_plane.prefect_gateway.events import EventsIn
from control_plane.prefect_gateway.gateway import Gateway
from control_plane.prefect_gateway.handshake import POLICY_VIOLATION, TRY_AGAIN, Admission, admit
from control_plane.prefect_gateway.subscription import EventsOut, NothingOffered
from control_plane.prefect_gateway.worker_channel import FrameRefused
from control_plane.problems import NotFound, Unavailable

logger = logging.getLogger(__name__)

_PROTOCOL_ERROR = 1002

Pass = Callable[[str], Awaitable[str | None]]
"""A message as the other side may read it; None: it isn't for the other side."""


async def _gateway(socket: WebSocket) -> Gateway:
    gateway: Gateway = socket.app.state.prefect_gateway
    return gateway


# Checked in the handshake, because Prefect's clients sign in with their first message; a test reads it here.
_gateway.permission = Permission.PREFECT_USE  # type: ignore[attr-defined]

router = APIRouter()


@router.websocket("/work_pools/{name}/workers/connect")
async def connect_worker(socket: WebSocket, name: str, gateway: Gateway = Depends(_gateway)) -> None:
    """A worker says that it is alive and hears how its pool changes."""
    admission = await admit(socket, workers_only=True)
    if admission is None:
        return
    scope = admission.scope
    if name != scope.work_pool:
        await socket.close(POLICY_VIOLATION, reason="authorization_failed")
        return

    async def up(text: str) -> str:
        return worker_channel.narrowed(scope, text)

    await _relay(socket, gateway, f"/work_pools/{scope.work_pool}/workers/connect", admission, up=up, down=_as_it_is)


@router.websocket("/events/in")
async def take_events(socket: WebSocket, gateway: Gateway = Depends(_gateway)) -> None:
    """A worker or a flow run tells what happens; that is how Prefect learns of task runs."""
    admission = await admit(socket)
    if admission is None:
        return
    events = EventsIn(admission.scope, gateway.ownership)
    await _relay(socket, gateway, "/events/in", admission, up=events.narrowed, down=_nothing)


@router.websocket("/events/out")
async def tell_events(socket: WebSocket, gateway: Gateway = Depends(_gateway)) -> None:
    """A worker or a flow run hears that it shall stop."""
    admission = await admit(socket)
    if admission is None:
        return
    try:
        events = EventsOut(await gateway.ownership.work_pool_id(admission.scope))
    except (Unavailable, NotFound):
        await socket.close(TRY_AGAIN, reason="transient_server_error")
        return
    subscribed = False

    async def up(text: str) -> str | None:
        nonlocal subscribed
        if subscribed:
            return None
        subscribed = True
        return events.narrowed(text)

    async def down(text: str) -> str | None:
        flow_run_id = events.heard(text)
        return text if flow_run_id and await gateway.is_within(admission.scope, flow_run_id) else None

    await _relay(socket, gateway, "/events/out", admission, up=up, down=down)


async def _as_it_is(text: str) -> str:
    return text


async def _nothing(_text: str) -> None:
    return None


async def _relay(socket: WebSocket, gateway: Gateway, path: str, admission: Admission, *, up: Pass, down: Pass) -> None:
    """Carry messages both ways until one side goes, or the credential doesn't count any more."""
    code, reason = 1000, ""
    try:
        async with gateway.upstream.socket(path) as server:
            code, reason = await _first_end(
                _carry_up(socket, server, up), _carry_down(socket, server, down), _until_revoked(admission)
            )
    except Unavailable:
        code, reason = TRY_AGAIN, "transient_server_error"
    if socket.client_state is WebSocketState.CONNECTED and socket.application_state is WebSocketState.CONNECTED:
        await socket.close(code, reason=reason)


End = tuple[int, str]


async def _first_end(*carriers: Awaitable[End]) -> End:
    tasks = [asyncio.ensure_future(carrier) for carrier in carriers]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(iter(done)).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _carry_up(socket: WebSocket, server: ClientConnection, narrow: Pass) -> End:
    try:
        while True:
            message = await narrow(await socket.receive_text())
            if message is not None:
                await server.send(message)
    except (WebSocketDisconnect, KeyError):  # KeyError: bytes, which Prefect's clients never send
        return 1000, ""
    except (FrameRefused, NothingOffered) as refusal:
        return _PROTOCOL_ERROR, str(refusal) or "protocol_error"
    except ConnectionClosed:
        return TRY_AGAIN, "transient_server_error"


async def _carry_down(socket: WebSocket, server: ClientConnection, narrow: Pass) -> End:
    try:
        async for message in server:
            if isinstance(message, str) and (passed := await narrow(message)) is not None:
                await socket.send_text(passed)
    except WebSocketDisconnect:
        return 1000, ""
    except ConnectionClosed:
        return TRY_AGAIN, "transient_server_error"
    return _ending(server)


def _ending(server: ClientConnection) -> End:
    # Prefect's own reasons tell a worker whether to come back.
    return server.close_code or TRY_AGAIN, server.close_reason or ""


async def _until_revoked(admission: Admission) -> End:
    await admission.revoked()
    return POLICY_VIOLATION, "authentication_failed"

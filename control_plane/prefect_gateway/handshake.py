"""How a WebSocket of Prefect's clients is opened, and how long it may stay open."""

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import Final

from fastapi import WebSocket
from sqlalchemy.exc import SQLAlchemyError
from starlette.websockets import WebSocketDisconnect

from control_plane.auth.credentials import Authenticator
from control_plane.auth.permissions import Permission
from control_plane.auth.principals import Principal
from control_plane.prefect_gateway.scope import Scope, Scopes
from control_plane.problems import Forbidden, Problem

logger = logging.getLogger(__name__)

SUBPROTOCOL: Final = "prefect"
POLICY_VIOLATION: Final = 1008
TRY_AGAIN: Final = 1011
"""Prefect's clients come back after this one, and give up after `POLICY_VIOLATION`."""

SIGN_IN_WITHIN = 10.0
"""Seconds for the first message."""

LOOK_EVERY = 2.5
"""Seconds between looks whether a credential still counts. With the two for which an answer is remembered: under 5."""

_LONGEST_SIGN_IN = 10_000


@dataclass(frozen=True, slots=True)
class Admission:
    """A connection that may go on, until `revoked()` returns."""

    authenticator: Authenticator
    token: str
    scope: Scope

    async def revoked(self) -> None:
        """Return once the credential doesn't count any more."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                if await self.authenticator.recognise(self.token) is None:
                    return
            except SQLAlchemyError as error:
                logger.warning("a credential could not be looked at again: %s", type(error).__name__)


async def admit(socket: WebSocket, *, workers_only: bool = False) -> Admission | None:
    """Accept a connection and learn who it is, from its header or its first message; None if it was refused."""
    if SUBPROTOCOL not in socket.scope["subprotocols"]:
        await socket.close(POLICY_VIOLATION)
        return None
    await socket.accept(subprotocol=SUBPROTOCOL)
    try:
        async with asyncio.timeout(SIGN_IN_WITHIN):
            token = _presented(socket, await socket.receive_text())
        authenticator: Authenticator = socket.app.state.authenticator
        principal = await authenticator.recognise(token) if token else None
        scope = await _scope(socket, principal)
    except (TimeoutError, ValueError, KeyError, Problem):
        await socket.close(POLICY_VIOLATION, reason="authentication_failed")
        return None
    except SQLAlchemyError:
        await socket.close(TRY_AGAIN, reason="transient_server_error")
        return None
    except WebSocketDisconnect:
        return None
    if workers_only and scope.execution_id:
        await socket.close(POLICY_VIOLATION, reason="authorization_failed")
        return None
    await socket.send_text('{"type":"auth_success"}')
    return Admission(authenticator, token, scope)


async def _scope(socket: WebSocket, principal: Principal | None) -> Scope:
    if principal is None or Permission.PREFECT_USE not in principal.permissions:
        raise Forbidden("The credential doesn't open this.")
    scopes: Scopes = socket.app.state.prefect_scopes
    return await scopes.of(principal)


def _presented(socket: WebSocket, first: str) -> str:
    if len(first) > _LONGEST_SIGN_IN:
        raise ValueError("this is no sign-in")
    message = json.loads(first)
    if not isinstance(message, dict) or message.get("type") != "auth":
        raise ValueError("the first message must sign in")
    # Prefect's event clients leave the API key out of their message; a header is all that can be set for them.
    scheme, _, header = socket.headers.get("authorization", "").partition(" ")
    token = message.get("token") or (header if scheme.lower() == "bearer" else "")
    if not isinstance(token, str):
        raise ValueError("a token is a text")  # noqa: TRY004 - of a message, not of a call
    return token

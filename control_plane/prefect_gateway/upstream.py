"""The way to Prefect's own server, with its password, which nobody else gets."""

import base64
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Self

import httpx
from pydantic_core import to_json
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from control_plane.client import trusted
from control_plane.problems import Unavailable
from control_plane.settings import Settings

logger = logging.getLogger(__name__)

LARGEST_MESSAGE = 4 * 1024 * 1024
"""Bytes of one WebSocket message of Prefect's server."""

_TIMEOUT = httpx.Timeout(30.0, connect=3.0)
_KEEP_ALIVE = timedelta(seconds=3)
"""Less than the 5 s after which Prefect's server closes an idle connection, so that no request meets a closed one."""

_LATER, _COME_BACK = "Prefect doesn't answer at the moment. Send the request again.", {"Retry-After": "1"}

_MOST_TRIES = 5


class _Busy(Unavailable):
    """Prefect did nothing and would have us come again.

    On SQLite, one of two transactions that meet is told so at once. Its own clients wait for two seconds and more
    before they ask again, so we do it for them.
    """


class Upstream:
    """Prefect's API. One instance serves a whole process and keeps its connections open."""

    def __init__(self, api_url: str, *, auth_string: str | None) -> None:
        self._api_url = api_url.rstrip("/")
        self._auth_string = auth_string
        # Compressing on one machine or in one network costs more than it saves.
        headers = {"Accept-Encoding": "identity"}
        if auth_string:
            headers["Authorization"] = f"Basic {base64.b64encode(auth_string.encode()).decode()}"
        self._http = httpx.AsyncClient(
            headers=headers,
            timeout=_TIMEOUT,
            verify=trusted(),
            limits=httpx.Limits(
                max_connections=100, max_keepalive_connections=100, keepalive_expiry=_KEEP_ALIVE.total_seconds()
            ),
        )

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The Prefect server that the settings name."""
        auth_string = settings.prefect_auth_string
        return cls(str(settings.prefect_api_url), auth_string=auth_string.get_secret_value() if auth_string else None)

    async def get(self, path: str) -> httpx.Response:
        """Ask. Raises `Unavailable` when Prefect doesn't answer or can't."""
        try:
            return await self._answer("GET", path, None)
        except httpx.RemoteProtocolError:
            # The server closed the connection while the question was on its way; asking again harms nobody.
            return await self._send("GET", path, None)
        except httpx.TransportError as error:
            raise _unavailable(error) from error

    async def post(self, path: str, body: bytes) -> httpx.Response:
        """Post JSON. Raises `Unavailable`."""
        return await self._send("POST", path, body)

    async def patch(self, path: str, body: bytes) -> httpx.Response:
        """Patch with JSON. Raises `Unavailable`."""
        return await self._send("PATCH", path, body)

    async def _send(self, method: str, path: str, body: bytes | None) -> httpx.Response:
        try:
            return await self._answer(method, path, body)
        except httpx.TransportError as error:
            raise _unavailable(error) from error

    @retry(
        retry=retry_if_exception_type(_Busy),
        stop=stop_after_attempt(_MOST_TRIES),
        wait=wait_random(0.02, 0.2),
        reraise=True,
    )
    async def _answer(self, method: str, path: str, body: bytes | None) -> httpx.Response:
        headers = {"Content-Type": "application/json"} if body is not None else None
        return _sound(await self._http.request(method, self._api_url + path, content=body, headers=headers))

    @asynccontextmanager
    async def socket(self, path: str) -> AsyncIterator[ClientConnection]:
        """An open, signed-in WebSocket. Raises `Unavailable` if there is none to be had."""
        url = "ws" + self._api_url.removeprefix("http") + path
        try:
            connection = await connect(url, subprotocols=[Subprotocol("prefect")], max_size=LARGEST_MESSAGE)
        except (OSError, TimeoutError, WebSocketException) as error:
            raise _unavailable(error) from error
        async with connection:
            try:
                await connection.send(to_json({"type": "auth", "token": self._auth_string}).decode())
                await connection.recv()
            except WebSocketException as error:
                raise _unavailable(error) from error
            yield connection

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _sound(response: httpx.Response) -> httpx.Response:
    if response.status_code == 503:
        raise _Busy(_LATER, headers=_COME_BACK)
    if response.status_code in {401, 403}:
        logger.error("Prefect refuses our credential; check CONTROL_PLANE_PREFECT_AUTH_STRING")
        raise _unavailable(None)
    if response.status_code in {408, 429} or response.status_code >= 500:
        logger.warning("Prefect answered %s to %s", response.status_code, response.request.url.path)
        raise _unavailable(None)
    return response


def _unavailable(error: Exception | None) -> Unavailable:
    if error is not None:
        logger.warning("Prefect doesn't answer: %s", type(error).__name__)
    return Unavailable(_LATER, headers=_COME_BACK)

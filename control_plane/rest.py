"""The control plane's REST API as the command line uses it."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx
from httpx_sse import connect_sse

from control_plane.client import API_PREFIX, USER_AGENT, Unreachable, is_on_this_machine, raise_for_problem

_STREAM_TIMEOUT = httpx.Timeout(10.0, read=60.0)
"""The server sends a comment every 15 s, so a minute of silence means that the connection is dead."""

_PATIENCE_SECONDS = 120.0
_RECONNECT_AFTER_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class StreamedEvent:
    """One server-sent event of an execution."""

    number: int
    type: str
    data: dict[str, Any]


class Rest:
    """Blocking calls with one credential. All raise `Refused` or `Unreachable`."""

    def __init__(self, url: str, key: str, *, timeout_seconds: float = 30.0) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=f"{self.url}{API_PREFIX}",
            headers={"Authorization": f"Bearer {key}", "User-Agent": USER_AGENT},
            timeout=timeout_seconds,
            trust_env=not is_on_this_machine(url),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, **parameters: str) -> Any:
        """The JSON there."""
        return self._json(self._send("GET", path, parameters=parameters))

    def download(self, path: str) -> Iterator[bytes]:
        """The body there, piece by piece. Raises `Unreachable` too if it ends before its end."""
        try:
            with self._http.stream("GET", path) as response:
                if response.status_code >= 400:
                    response.read()
                    raise_for_problem(response)
                yield from response.iter_bytes()
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def post(self, path: str, body: dict[str, Any], *, idempotency_key: str | None = None) -> Any:
        """What was created. With an idempotency key the request may be repeated."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else None
        return self._json(self._send("POST", path, body=body, headers=headers))

    def delete(self, path: str) -> None:
        """Remove or cancel."""
        self._send("DELETE", path)

    def follow(self, execution_id: str) -> Iterator[StreamedEvent]:
        """Every event of an execution, once and in order, until `done`; reconnects for two minutes if it has to."""
        last = 0
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                for event in self._stream(execution_id, after=last):
                    last = event.number
                    give_up_at = time.monotonic() + _PATIENCE_SECONDS
                    yield event
                    if event.type == "done":
                        return
            except (httpx.TransportError, Unreachable) as error:
                if time.monotonic() > give_up_at:
                    raise Unreachable(f"The control plane at {self.url} no longer answers.") from error
            time.sleep(_RECONNECT_AFTER_SECONDS)

    def _stream(self, execution_id: str, *, after: int) -> Iterator[StreamedEvent]:
        headers = {"Last-Event-ID": str(after)}
        path = f"/executions/{execution_id}/stream"
        with connect_sse(self._http, "GET", path, headers=headers, timeout=_STREAM_TIMEOUT) as source:
            if source.response.status_code >= 400:
                source.response.read()
                raise_for_problem(source.response)
            for event in source.iter_sse():
                if not event.data:
                    continue  # httpx-sse makes an event of a keep-alive comment; the standard says that it is none
                yield StreamedEvent(int(event.id), event.event, json.loads(event.data))

    def _json(self, response: httpx.Response) -> Any:
        try:
            return response.json()
        except ValueError as error:
            raise Unreachable(f"What answers at {self.url} is no control plane. Check CONTROL_PLANE_URL.") from error

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: dict[str, Any] | None = None,
        parameters: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        try:
            response = self._http.request(method, path, json=body, params=parameters, headers=headers)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        raise_for_problem(response)
        return response

    def _unreachable(self, error: httpx.TransportError) -> Unreachable:
        return Unreachable(
            f"The control plane at {self.url} doesn't answer ({type(error).__name__}). Start one with"
            " `control-plane dev`, or set CONTROL_PLANE_URL to where one runs."
        )

"""How flows, workers and the command line talk to the control plane over HTTP.

Errors:
    ControlPlaneError
      ├── Refused       the server understood and said no; repeating the same request will not help
      └── Unreachable   no usable answer; the same request may succeed later
"""

import time
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import UUID

import httpx
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from control_plane import __version__
from control_plane.wire.executions import Claim, ClaimRequest, EventReceipt, EventReport, Finish, LeaseRenewal
from control_plane.wire.mending import mended
from control_plane.wire.plan import Plan

API_PREFIX = "/api/v1"
USER_AGENT = f"agent-control-plane/{__version__}"

_PATIENCE_SECONDS = 120.0
"""How long a worker repeats a request to a control plane that doesn't answer; a restart takes a few seconds."""

_TIMEOUT = httpx.Timeout(30.0, connect=5.0)


class ControlPlaneError(Exception):
    """The control plane did not do what was asked. `str()` says what happened and what to do."""


class Unreachable(ControlPlaneError):
    """There was no answer, or one that says «later» (429, 502, 503, 504)."""


class Refused(ControlPlaneError):
    """The control plane answered with a problem (RFC 9457).

    `status` is the HTTP status, `code` the problem's stable name, `request_id` finds the request in the server's log.
    """

    def __init__(self, *, status: int, code: str, detail: str, request_id: str | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.request_id = request_id


def is_on_this_machine(url: str) -> bool:
    """Whether the host is the loopback interface: then no proxy may see the credential that goes with a request."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def raise_for_problem(response: httpx.Response) -> None:
    """Turn an answer of 400 or more into `Refused` or `Unreachable`; let every other pass.

    The response must have been read (`await response.aread()` for a stream).
    """
    if response.status_code < 400:
        return
    problem = _problem(response)
    where = f"{response.request.method} {response.request.url.path}"
    detail = str(problem.get("detail") or problem.get("title") or f"{where} answered {response.status_code}")
    for error in problem.get("errors") or []:
        detail += f"\n  {error.get('location', '')}: {error.get('message', '')}"
    if response.status_code in {429, 502, 503, 504}:
        raise Unreachable(detail)
    raise Refused(
        status=response.status_code,
        code=problem.get("code") or f"http_{response.status_code}",
        detail=detail,
        request_id=problem.get("request_id"),
    )


def _problem(response: httpx.Response) -> dict[str, Any]:
    """The problem in an answer; nothing if a proxy or something else than a control plane wrote it."""
    if not response.headers.get("content-type", "").startswith("application/problem+json"):
        return {}
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


class WorkerClient:
    """The worker protocol. Every request is safe to repeat, so each is repeated until it is answered, for two minutes.

    Open it with a worker key to claim an execution, and with the execution token for everything after that. All
    methods raise `Refused` or, when patience ends, `Unreachable`. `sent_at` is when the latest request left, on the
    clock `time.monotonic`: what its answer promises for a time, it promises from then or later.
    """

    def __init__(self, url: str, token: str, *, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self.sent_at = 0.0
        self._patience = patience_seconds
        self._http = httpx.AsyncClient(
            base_url=f"{url.rstrip('/')}{API_PREFIX}/worker/executions",
            headers={"Authorization": f"Bearer {token}", "User-Agent": USER_AGENT},
            timeout=_TIMEOUT,
            trust_env=not is_on_this_machine(url),
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def claim(self, execution_id: UUID, request: ClaimRequest) -> Claim:
        """Take the execution. The same `claim_id` gets the same claim again."""
        answer = await self._send("POST", f"/{execution_id}/claim", request.model_dump(mode="json"))
        return Claim.model_validate_json(answer)

    async def plan(self, execution_id: UUID) -> Plan:
        """What is to be carried out."""
        return Plan.model_validate_json(await self._send("GET", f"/{execution_id}/plan"))

    async def report(self, execution_id: UUID, report: EventReport) -> EventReceipt:
        """Deliver events."""
        answer = await self._send("POST", f"/{execution_id}/events", report.model_dump(mode="json"))
        return EventReceipt.model_validate_json(answer)

    async def renew(self, execution_id: UUID, fence: int) -> LeaseRenewal:
        """Keep the lease."""
        return LeaseRenewal.model_validate_json(await self._send("POST", f"/{execution_id}/lease", {"fence": fence}))

    async def finish(self, execution_id: UUID, finish: Finish) -> None:
        """Say how the execution ended."""
        await self._send("POST", f"/{execution_id}/finish", finish.model_dump(mode="json"))

    async def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(Unreachable),
            stop=stop_after_delay(self._patience),
            wait=wait_random_exponential(multiplier=0.1, max=5.0),
            reraise=True,
        ):
            with attempt:
                self.sent_at = time.monotonic()
                try:
                    response = await self._http.request(method, path, json=mended(body))
                except httpx.TransportError as error:
                    raise Unreachable(
                        f"The control plane at {self._http.base_url.host} doesn't answer ({type(error).__name__})."
                    ) from error
                raise_for_problem(response)
        return response.content

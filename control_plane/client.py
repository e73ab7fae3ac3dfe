"""How flows, workers and the command line talk to the control plane over HTTP.

Errors:
    ControlPlaneError
      ├── Refused       the server understood and said no; repeating the same request will not help
      └── Unreachable   no usable answer; the same request may succeed later
"""

import ssl
import time
from functools import cache
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit
from uuid import UUID

import httpx
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from control_plane import __version__
from control_plane.wire.artifacts import KeptArtifact
from control_plane.wire.children import CallableAgents, Child, ChildRequest
from control_plane.wire.executions import (
    Claim,
    ClaimRequest,
    EventReceipt,
    EventReport,
    Finish,
    LeaseRenewal,
    Offer,
    Offers,
)
from control_plane.wire.joining import HeartbeatAnswer, JoinRequest, SessionRenewal, WorkerHeartbeat, WorkerSession
from control_plane.wire.mending import mended
from control_plane.wire.model import WireModel
from control_plane.wire.plan import Plan
from control_plane.wire.secrets import ReleasedSecret, SecretRequest

API_PREFIX = "/api/v1"
USER_AGENT = f"agent-control-plane/{__version__}"

_PATIENCE_SECONDS = 120.0
"""How long a worker repeats a request to a control plane that doesn't answer; a restart takes a few seconds."""

_ANSWER_SECONDS = 30.0
_CONNECT_SECONDS = 5.0


@cache
def trusted() -> ssl.SSLContext:
    """Whom to trust. To read the certificates takes longer than many a request, so a process does it once."""
    return httpx.create_ssl_context()


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

    Open it with the token of a worker's session to claim an execution, and with the execution token for everything
    after that. All methods raise `Refused` or, when patience ends, `Unreachable`. `sent_at` is when the request
    left that was answered last, on the clock `time.monotonic`: what its answer promises for a time, it promises from
    then or later.
    """

    def __init__(self, url: str, token: str, *, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self.sent_at = 0.0
        self._patience = patience_seconds
        self._http = httpx.AsyncClient(
            base_url=f"{url.rstrip('/')}{API_PREFIX}/worker",
            verify=trusted(),
            headers={"Authorization": f"Bearer {token}", "User-Agent": USER_AGENT},
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
        answer = await self._send("POST", f"/executions/{execution_id}/claim", request.model_dump(mode="json"))
        return Claim.model_validate_json(answer)

    async def offers(self, *, most: int, wait_seconds: float, in_place: bool = False) -> list[Offer]:
        """What there is to claim in the environment, as soon as there is something; nothing after `wait_seconds`.

        `in_place`: only what may take the place of an execution that this worker carries out, which waits for it.
        """
        path = f"/queues/current/offers?most={most}&wait_seconds={wait_seconds}{'&in_place=true' if in_place else ''}"
        return Offers.model_validate_json(await self._send("GET", path, answered_within=wait_seconds + 10.0)).offers

    async def plan(self, execution_id: UUID) -> Plan:
        """What is to be carried out."""
        return Plan.model_validate_json(await self._send("GET", f"/executions/{execution_id}/plan"))

    async def report(self, execution_id: UUID, report: EventReport) -> EventReceipt:
        """Deliver events."""
        answer = await self._send("POST", f"/executions/{execution_id}/events", report.model_dump(mode="json"))
        return EventReceipt.model_validate_json(answer)

    async def renew(self, execution_id: UUID, fence: int) -> LeaseRenewal:
        """Keep the lease."""
        answer = await self._send("POST", f"/executions/{execution_id}/lease", {"fence": fence})
        return LeaseRenewal.model_validate_json(answer)

    async def finish(self, execution_id: UUID, finish: Finish) -> None:
        """Say how the execution ended."""
        await self._send("POST", f"/executions/{execution_id}/finish", finish.model_dump(mode="json"))

    async def callable_agents(self, execution_id: UUID) -> CallableAgents:
        """The agents that the execution may ask."""
        return CallableAgents.model_validate_json(await self._send("GET", f"/executions/{execution_id}/agents"))

    async def start_child(self, execution_id: UUID, request: ChildRequest) -> Child:
        """Ask another agent. The same `key` gets the same execution again."""
        answer = await self._send("POST", f"/executions/{execution_id}/children", request.model_dump(mode="json"))
        return Child.model_validate_json(answer)

    async def child(self, execution_id: UUID, child_id: UUID, *, wait_seconds: float) -> Child:
        """An execution that this one has started, once it has ended, or as it stands after `wait_seconds`."""
        path = f"/executions/{execution_id}/children/{child_id}?wait_seconds={wait_seconds}"
        return Child.model_validate_json(await self._send("GET", path, answered_within=wait_seconds + 10.0))

    async def cancel_child(self, execution_id: UUID, child_id: UUID) -> Child:
        """Stop an execution that this one has started."""
        return Child.model_validate_json(await self._send("DELETE", f"/executions/{execution_id}/children/{child_id}"))

    async def secret(self, execution_id: UUID, request: SecretRequest) -> str:
        """The value of a secret, for a tool that runs."""
        answer = await self._send("POST", f"/executions/{execution_id}/secrets", request.model_dump(mode="json"))
        return ReleasedSecret.model_validate_json(answer).value

    async def keep(
        self, execution_id: UUID, content: bytes, *, key: str, name: str, media_type: str, fence: int
    ) -> UUID:
        """Store an artifact; its id. Under the same key it is stored once."""
        query = urlencode({"key": key, "name": mended(name), "media_type": media_type, "fence": fence})
        answer = await self._send("POST", f"/executions/{execution_id}/artifacts?{query}", content=content)
        return KeptArtifact.model_validate_json(answer).id

    async def _send(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        content: bytes | None = None,
        answered_within: float = _ANSWER_SECONDS,
    ) -> bytes:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(Unreachable),
            stop=stop_after_delay(self._patience),
            wait=wait_random_exponential(multiplier=0.1, max=5.0),
            reraise=True,
        ):
            with attempt:
                sent_at = time.monotonic()
                try:
                    timeout = httpx.Timeout(answered_within, connect=_CONNECT_SECONDS)
                    sent: dict[str, Any] = {"json": mended(body)} if content is None else {"content": content}
                    response = await self._http.request(method, path, timeout=timeout, **sent)
                except httpx.TransportError as error:
                    raise Unreachable(
                        f"The control plane at {self._http.base_url.host} doesn't answer ({type(error).__name__})."
                    ) from error
                raise_for_problem(response)
                self.sent_at = sent_at
        return response.content


class JoiningClient:
    """A worker's session, from joining to leaving: blocking calls, sent once, for a thread of their own.

    `credential` is what the worker was started with; the session's token is asked for where a call needs it. All
    methods raise `Refused` or `Unreachable`, after `timeout_seconds` at the latest.
    """

    def __init__(self, url: str, credential: str, *, timeout_seconds: float = 15.0) -> None:
        self._credential = credential
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}{API_PREFIX}",
            headers={"User-Agent": USER_AGENT},
            timeout=httpx.Timeout(timeout_seconds, connect=min(5.0, timeout_seconds)),
            trust_env=not is_on_this_machine(url),
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def start_in_pool(self, work_pool: str, request: JoinRequest) -> WorkerSession:
        """Join by the name of a work pool."""
        return self._start(f"/work-pools/{quote(work_pool, safe='')}/start", request)

    def start_in_queue(self, worker_queue_id: UUID, request: JoinRequest) -> WorkerSession:
        """Join a worker queue."""
        return self._start(f"/worker-queues/{worker_queue_id}/start", request)

    def renew(self, session_id: UUID) -> SessionRenewal:
        """Keep the session alive."""
        return SessionRenewal.model_validate_json(
            self._send("POST", f"/worker-sessions/{session_id}/renew", self._credential)
        )

    def heartbeat(self, session_token: str, heartbeat: WorkerHeartbeat) -> HeartbeatAnswer:
        """Give a sign of life."""
        answer = self._send("POST", "/worker-sessions/current/heartbeat", session_token, heartbeat)
        return HeartbeatAnswer.model_validate_json(answer)

    def leave(self, session_token: str) -> None:
        """End the session."""
        self._send("DELETE", "/worker-sessions/current", session_token)

    def _start(self, path: str, request: JoinRequest) -> WorkerSession:
        return WorkerSession.model_validate_json(self._send("POST", path, self._credential, request))

    def _send(self, method: str, path: str, credential: str, body: WireModel | None = None) -> bytes:
        content = mended(body.model_dump(mode="json")) if body else None
        try:
            response = self._http.request(method, path, json=content, headers={"Authorization": f"Bearer {credential}"})
        except httpx.TransportError as error:
            raise Unreachable(
                f"The control plane at {self._http.base_url.host} doesn't answer ({type(error).__name__})."
            ) from error
        raise_for_problem(response)
        return response.content

"""How flows, workers and the command line talk to the control plane over HTTP.

Errors:
    ControlPlaneError
      ├── Refused       the server understood and said no; repeating the same request will not help
      └── Unreachable   no usable answer; the same request may succeed later
"""

from typing import Any

import httpx

API_PREFIX = "/api/v1"


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


def raise_for_problem(response: httpx.Response) -> None:
    """Turn an answer of 400 or more into `Refused` or `Unreachable`; let every other pass.

    The response must have been read (`await response.aread()` for a stream).
    """
    if response.status_code < 400:
        return
    problem = _problem(response)
    where = f"{response.request.method} {response.request.url.path}"
    detail = problem.get("detail") or problem.get("title") or f"{where} answered {response.status_code}"
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
    if "json" not in response.headers.get("content-type", ""):
        return {}
    body = response.json()
    return body if isinstance(body, dict) else {}

"""Why a model didn't answer: the many ways in which providers and LiteLLM say so, in a few stable codes."""

import json
import os
import re
from collections.abc import Mapping
from typing import Any

import httpx

from control_plane.llm.errors import ModelError
from control_plane.llm.targets import Target
from control_plane.llm.turns import ScriptProblem

_PREFIXES = re.compile(r"^(?:(?:litellm\.)?\w+Error: )*(?:\w+Exception - )?")
"""What LiteLLM writes before a provider's own words."""

_SECRET_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|DATABASE_URL", re.IGNORECASE)
_SHORTEST_SECRET = 8
"""A shorter value, such as `true` or `1`, is no secret, and to cut it out would garble the message."""
_KEY_SHAPES = re.compile(r"\bsk-[\w*.-]{8,}")
"""Keys of OpenAI and Anthropic, also where a provider has put stars into their middle."""

_TOO_LONG = re.compile(
    r"context[_ ]length|context[_ ]window|maximum context|prompt is too long|input is too long|exceed\w* the .*token",
    re.IGNORECASE,
)
_FILTERED = re.compile(r"content[_ ]filter|content management policy|content[_ ]policy|safety system", re.IGNORECASE)
_QUOTA = re.compile(r"insufficient_quota|exceeded your current quota|credit balance", re.IGNORECASE)
_OVERLOADED = re.compile(r"overloaded|at capacity", re.IGNORECASE)
_NO_KEY = re.compile(r"api[_ ]key|credentials", re.IGNORECASE)

_TIMEOUTS = (httpx.TimeoutException, TimeoutError)


def explain(error: BaseException, target: Target) -> ModelError:
    """An exception of LiteLLM, or of the connection, as a `ModelError`."""
    status = getattr(error, "status_code", None)
    if problem := _script_problem(error):
        headers = {"Retry-After": "1"} if problem.status == 429 else {}
        return ModelError(cleaned(str(problem), target), status=problem.status, code=problem.code, headers=headers)
    if isinstance(error, _TIMEOUTS) or type(error).__name__ in {"Timeout", "APITimeoutError"}:
        return _timeout(target)
    if type(error).__name__ == "MidStreamFallbackError":
        return interrupted(target)
    said = _PREFIXES.sub("", str(getattr(error, "message", None) or error).split("\nTraceback", 1)[0].strip())
    if "LLM Provider NOT provided" in said:
        return ModelError(
            f"LiteLLM knows no provider {target.provider!r}. Use one of its names, such as anthropic, openai or"
            " scripted, or that of a provider of the organization.",
            status=400,
            code="provider_unknown",
        )
    if type(error).__name__ == "AuthenticationError" or (status in {None, 500} and _NO_KEY.search(said)):
        return missing_key(target)
    if status is None:
        return unavailable(target, type(error).__name__)
    return _classified(target, status, said, kind=type(error).__name__, headers=_headers(error))


def answered(target: Target, status: int, body: bytes | Mapping[str, Any], headers: Mapping[str, str]) -> ModelError:
    """An answer of a provider that is no success as a `ModelError`. Of the body only the message is passed on."""
    error = _error_of(body)
    said = str(error.get("message") or "It gave no reason.")
    return _classified(target, status, said, kind=f"{error.get('code')} {error.get('type')}", headers=headers)


def missing_key(target: Target) -> ModelError:
    """There is no key for the provider, or it refuses the one there is."""
    return ModelError(
        f"The control plane has no valid key for {target.provider}. {target.remedy}",
        status=400,
        code="provider_key_missing",
    )


def unavailable(target: Target, reason: str) -> ModelError:
    """The provider can't be reached, or fails by a fault of its own."""
    return ModelError(
        f"{target.provider} doesn't answer at the moment ({reason}). Try again in a while.",
        status=503,
        code="unavailable",
    )


def interrupted(target: Target) -> ModelError:
    """The stream broke off before its end."""
    return ModelError(
        f"{target.provider} broke its answer off in the middle. What came so far is incomplete: ask again.",
        status=502,
        code="stream_interrupted",
    )


def _timeout(target: Target) -> ModelError:
    return ModelError(
        f"{target.provider} didn't answer in time. It may have worked all the same; ask again, or for less.",
        status=504,
        code="timeout",
    )


def _classified(
    target: Target, status: int, said: str, *, kind: str = "", headers: Mapping[str, str] | None = None
) -> ModelError:
    provider, said, words = target.provider, cleaned(said, target), f"{kind} {said}"
    if _QUOTA.search(words):
        message, status, code = f"The account at {provider} has no credit left: {said}", 402, "quota_exhausted"
    elif "ContextWindow" in kind or (status in {400, 413} and _TOO_LONG.search(words)):
        message = f"The conversation is too long for {target.name}: {said} Shorten it, or use a model that reads more."
        status, code = 400, "context_too_long"
    elif "ContentPolicy" in kind or (status == 400 and _FILTERED.search(words)):
        message = f"A content filter of {provider} refused the request: {said} Ask in other words."
        status, code = 400, "content_filtered"
    elif status in {401, 403}:
        return missing_key(target)
    elif status == 404:
        message, code = f"{provider} has no model {target.name!r}: {said}", "model_not_found"
    elif status == 429:
        message, code = f"{provider} limits the rate of calls: {said}", "rate_limited"
        return ModelError(message, status=status, code=code, headers=_retry_after(headers) or {"Retry-After": "1"})
    elif status in {408, 504}:
        return _timeout(target)
    elif status == 529 or (status >= 500 and _OVERLOADED.search(words)):
        message = f"{provider} is overloaded at the moment. Try again in a while."
        return ModelError(message, status=503, code="overloaded", headers=_retry_after(headers))
    elif 400 <= status < 500:
        message, code = f"{provider} refused the request: {said}", "refused"
    else:
        return unavailable(target, kind if kind.isidentifier() else f"status {status}")
    return ModelError(message, status=status, code=code)


def cleaned(text: str, target: Target) -> str:
    """The text without this server's keys, at most 2,000 characters: providers quote the key that they were sent."""
    if target.key and (key := target.key.get_secret_value()):
        text = text.replace(key, "[redacted]")
    for name, value in os.environ.items():
        if _SECRET_NAMES.search(name) and len(value) >= _SHORTEST_SECRET:
            text = text.replace(value, "[redacted]")
    return _KEY_SHAPES.sub("[redacted]", text)[:2_000]


def _error_of(body: bytes | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(body, bytes):
        try:
            body = json.loads(body)
        except (ValueError, RecursionError):
            return {}
    error = body.get("error", body) if isinstance(body, Mapping) else {}
    return error if isinstance(error, Mapping) else {"message": error}


def _script_problem(error: BaseException | None) -> ScriptProblem | None:
    """Why a scripted model refused. LiteLLM makes an exception of its own of it, and Python remembers the first one."""
    while error is not None and not isinstance(error, ScriptProblem):
        error = error.__cause__ or error.__context__
    return error


def _headers(error: BaseException) -> Mapping[str, str]:
    # LiteLLM keeps the provider's headers in the one or in the other place.
    places = (
        getattr(error, "litellm_response_headers", None),
        getattr(getattr(error, "response", None), "headers", None),
    )
    return next((place for place in places if place and "retry-after" in place), {})


def _retry_after(headers: Mapping[str, str] | None) -> dict[str, str]:
    given = (headers or {}).get("retry-after")
    return {"Retry-After": given} if given else {}

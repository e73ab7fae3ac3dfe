"""What can go wrong with a model, in OpenAI's error shape, which every SDK can read."""

import os
import re
from typing import Any

from control_plane.llm.turns import ScriptProblem


class ModelError(Exception):
    """A model didn't answer. `str()` says what to do; `code` is stable; `headers` go out with it."""

    def __init__(self, message: str, *, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """The error as OpenAI's API would send it."""
        kind = "invalid_request_error" if self.status < 500 else "api_error"
        return {"error": {"message": str(self), "type": kind, "code": self.code, "param": None}}


_PREFIXES = re.compile(r"^(?:(?:litellm\.)?\w+Error: )*(?:\w+Exception - )?")
"""What LiteLLM writes before a provider's own words."""

_SECRET_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|DATABASE_URL", re.IGNORECASE)
_SHORTEST_SECRET = 8
"""A shorter value, such as `true` or `1`, is no secret, and to cut it out would garble the message."""
_KEY_SHAPES = re.compile(r"\bsk-[\w*.-]{8,}")
"""Keys of OpenAI and Anthropic, also where a provider has put stars into their middle."""

_KEYS = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY", "gemini": "GEMINI_API_KEY"}


def explain(error: Exception, *, model: str) -> ModelError:
    """A LiteLLM exception as a `ModelError`. Of what the provider said only the message is passed on."""
    status = getattr(error, "status_code", None)
    provider = model.split("/", 1)[0]
    said = _message(error)
    if problem := _script_problem(error):
        said = without_secrets(str(problem))
        return ModelError(said, status=problem.status, code=problem.code, headers=_retry_after(error, problem.status))
    if _key_is_missing(error, status, said):
        variable = _KEYS.get(provider, f"{provider.upper()}_API_KEY")
        return ModelError(
            f"The control plane has no valid key for {provider}. Set {variable} for the API server, or give the"
            ' environment an llm_override such as {"provider": "scripted", "model": "assistant"}.',
            status=400,
            code="provider_key_missing",
        )
    if "LLM Provider NOT provided" in said:
        return ModelError(
            f"LiteLLM knows no provider {provider!r}. Use one of its names, such as anthropic, openai or scripted.",
            status=400,
            code="provider_unknown",
        )
    match status:
        case 404:
            return ModelError(f"{provider} has no model {model!r}: {said}", status=404, code="model_not_found")
        case 429:
            return ModelError(
                f"{provider} limits the rate of calls: {said}",
                status=429,
                code="rate_limited",
                headers=_retry_after(error, status),
            )
        case int() if 400 <= status < 500:
            return ModelError(f"{provider} refused the request: {said}", status=status, code="refused")
        case _:
            return ModelError(
                f"{provider} doesn't answer at the moment ({type(error).__name__}).", status=503, code="unavailable"
            )


def _script_problem(error: BaseException | None) -> ScriptProblem | None:
    """Why a scripted model refused. LiteLLM makes an exception of its own of it, and Python remembers the first one."""
    while error is not None and not isinstance(error, ScriptProblem):
        error = error.__cause__ or error.__context__
    return error


def _key_is_missing(error: Exception, status: int | None, said: str) -> bool:
    return status in {401, 403} or type(error).__name__ == "AuthenticationError" or "api_key" in said.lower()


def _message(error: Exception) -> str:
    text = str(getattr(error, "message", None) or error)
    return without_secrets(_PREFIXES.sub("", text.split("\nTraceback", 1)[0].strip()))[:2_000]


def without_secrets(text: str) -> str:
    """The text without this server's keys: providers quote in their errors the key that they were sent."""
    for name, value in os.environ.items():
        if _SECRET_NAMES.search(name) and len(value) >= _SHORTEST_SECRET:
            text = text.replace(value, "[redacted]")
    return _KEY_SHAPES.sub("[redacted]", text)


def _retry_after(error: Exception, status: int | None) -> dict[str, str]:
    if status != 429:
        return {}
    # LiteLLM keeps the provider's headers in the one or in the other place.
    places = (
        getattr(error, "litellm_response_headers", None),
        getattr(getattr(error, "response", None), "headers", None),
    )
    given = next((place["retry-after"] for place in places if place and "retry-after" in place), None)
    return {"Retry-After": given or "1"}

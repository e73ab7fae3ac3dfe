"""What can go wrong with a model, in OpenAI's error shape, which every SDK can read."""

import re
from typing import Any


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

_KEYS = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY", "gemini": "GEMINI_API_KEY"}


def explain(error: Exception, *, model: str) -> ModelError:
    """A LiteLLM exception as a `ModelError`. Of what the provider said only the message is passed on."""
    status = getattr(error, "status_code", None)
    provider = model.split("/", 1)[0]
    said = _message(error)
    if provider == "scripted":
        code = getattr(error, "code", None) or "scripted_error"
        return ModelError(said, status=status or 500, code=code, headers=_retry_after(error, status))
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


def _key_is_missing(error: Exception, status: int | None, said: str) -> bool:
    return status in {401, 403} or type(error).__name__ == "AuthenticationError" or "api_key" in said.lower()


def _message(error: Exception) -> str:
    text = str(getattr(error, "message", None) or error)
    return _PREFIXES.sub("", text.split("\nTraceback", 1)[0].strip())[:2_000]


def _retry_after(error: Exception, status: int | None) -> dict[str, str]:
    response = getattr(error, "response", None)
    given = response.headers.get("retry-after") if response is not None and hasattr(response, "headers") else None
    return {"Retry-After": given or "1"} if status == 429 else {}

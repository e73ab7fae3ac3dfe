"""The providers' own words for what goes wrong: status, type, code and message."""

from typing import Any

from tests.provider.turns import Failure

_OPENAI: dict[str, tuple[int, str, str | None, str]] = {
    "limited": (429, "requests", "rate_limit_exceeded", "Rate limit reached for requests. Please try again in 7s."),
    "quota": (429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
    "overloaded": (503, "server_error", None, "That model is currently overloaded with other requests."),
    "broken": (500, "server_error", None, "The server had an error while processing your request."),
    "context": (
        400,
        "invalid_request_error",
        "context_length_exceeded",
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
    ),
    "filtered": (
        400,
        "invalid_request_error",
        "content_filter",
        "The response was filtered due to the prompt triggering the content management policy.",
    ),
    "key": (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    "forbidden": (403, "invalid_request_error", "model_access_denied", "Your project has no access to this model."),
    "model": (404, "invalid_request_error", "model_not_found", "The model does not exist or you have no access to it."),
    "bad": (400, "invalid_request_error", None, "Invalid value in your request."),
}

_ANTHROPIC: dict[str, tuple[int, str, str]] = {
    "limited": (429, "rate_limit_error", "This request would exceed your rate limit."),
    "quota": (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
    "overloaded": (529, "overloaded_error", "Overloaded"),
    "broken": (500, "api_error", "Internal server error"),
    "context": (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
    "filtered": (400, "invalid_request_error", "Output blocked by content filtering policy"),
    "key": (401, "authentication_error", "invalid x-api-key"),
    "forbidden": (403, "permission_error", "Your API key does not have permission to use the specified resource."),
    "model": (404, "not_found_error", "model: the one that you asked for"),
    "bad": (400, "invalid_request_error", "Invalid value in your request."),
}

REQUEST_ID = "req_of_the_tests"


def openai(failure: Failure) -> tuple[int, dict[str, Any]]:
    """The status and the body with which OpenAI fails."""
    status, kind, code, message = _OPENAI[failure.kind]
    return status, {"error": {"message": failure.message or message, "type": kind, "param": None, "code": code}}


def anthropic(failure: Failure) -> tuple[int, dict[str, Any]]:
    """The status and the body with which Anthropic fails."""
    status, kind, message = _ANTHROPIC[failure.kind]
    error = {"type": kind, "message": failure.message or message}
    return status, {"type": "error", "error": error, "request_id": REQUEST_ID}

import httpx
import pytest

from control_plane.llm.dialects import anthropic_error, openai_error
from control_plane.llm.errors import ModelError
from control_plane.llm.explanations import explain
from control_plane.llm.targets import of_the_server

pytestmark = pytest.mark.unit


class Failure(Exception):
    """What LiteLLM's exceptions look like from outside."""

    def __init__(self, message: str, *, status: int | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status_code = status
        self.response = httpx.Response(status or 500, headers=headers)


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (Failure("Incorrect API key", status=401), 400, "provider_key_missing"),
        (Failure("Forbidden", status=403), 400, "provider_key_missing"),
        (Failure("The api_key client option must be set", status=500), 400, "provider_key_missing"),
        (Failure("LLM Provider NOT provided.", status=400), 400, "provider_unknown"),
        (Failure("No such model", status=404), 404, "model_not_found"),
        (Failure("Slow down", status=429), 429, "rate_limited"),
        (Failure("Too little", status=400), 400, "refused"),
        (Failure("The prompt is too long: 9 tokens > 8 maximum", status=400), 400, "context_too_long"),
        (Failure("Blocked by our content filter", status=400), 400, "content_filtered"),
        (Failure("You exceeded your current quota", status=429), 402, "quota_exhausted"),
        (Failure("Overloaded", status=529), 503, "overloaded"),
        (Failure("Timed out", status=504), 504, "timeout"),
        (httpx.ReadTimeout("Timed out"), 504, "timeout"),
        (Failure("Too many tokens", status=422), 422, "refused"),
        (Failure("On fire", status=500), 503, "unavailable"),
        (Failure("Connection refused"), 503, "unavailable"),
        (KeyError("bug"), 503, "unavailable"),
    ],
)
def test_a_failure_has_a_status_and_a_stable_code(failure: Exception, status: int, code: str) -> None:
    error = explain(failure, of_the_server("openai/gpt"))

    assert (error.status, error.code) == (status, code)


class MidStreamFallbackError(Failure):
    """LiteLLM's name for what breaks off after it has begun."""


def test_what_breaks_off_in_the_middle_is_interrupted() -> None:
    error = explain(MidStreamFallbackError("Gone", status=503), of_the_server("anthropic/claude"))

    assert (error.status, error.code) == (502, "stream_interrupted")


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        ("openai/gpt", "OPENAI_API_KEY"),
        ("anthropic/claude", "ANTHROPIC_API_KEY"),
        ("mistral/large", "MISTRAL_API_KEY"),
    ],
)
def test_a_missing_key_is_named_by_its_variable(model: str, variable: str) -> None:
    error = explain(Failure("No key", status=401), of_the_server(model))

    assert f"Set {variable} for the API server" in str(error)


@pytest.mark.parametrize(("headers", "seconds"), [({"retry-after": "7"}, "7"), ({}, "1")])
def test_a_rate_limit_says_when_to_come_back(headers: dict[str, str], seconds: str) -> None:
    error = explain(Failure("Slow down", status=429, headers=headers), of_the_server("openai/gpt"))

    assert error.headers == {"Retry-After": seconds}


@pytest.mark.parametrize("prefix", ["litellm.BadRequestError: OpenAIException - ", "litellm.BadRequestError: ", ""])
def test_litellms_own_words_are_left_out(prefix: str) -> None:
    error = explain(Failure(f"{prefix}Too long\nTraceback: secrets", status=400), of_the_server("openai/gpt"))

    assert str(error) == "openai refused the request: Too long"


@pytest.mark.parametrize(
    "message",
    [
        "The key upstream-key-of-mine is wrong",
        "The key sk-proj-0123456789abcdef is wrong",
        "The key sk-01234***********cdef is wrong",
    ],
)
def test_a_key_that_the_provider_quotes_is_cut_out(message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "upstream-key-of-mine")

    error = explain(Failure(message, status=400), of_the_server("openai/gpt"))

    assert str(error) == "openai refused the request: The key [redacted] is wrong"


def test_a_short_value_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_KEY", "the")

    error = explain(Failure("the truth", status=400), of_the_server("openai/gpt"))

    assert str(error) == "openai refused the request: the truth"


def test_what_a_provider_says_is_bounded() -> None:
    error = explain(Failure("x" * 10_000, status=400), of_the_server("openai/gpt"))

    assert len(str(error)) < 2_100


@pytest.mark.parametrize(
    ("status", "kind"), [(400, "invalid_request_error"), (429, "invalid_request_error"), (503, "api_error")]
)
def test_an_error_has_openais_shape(status: int, kind: str) -> None:
    body = openai_error(ModelError("No", status=status, code="refused"))

    assert body == {"error": {"message": "No", "type": kind, "code": "refused", "param": None}}


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "invalid_request_error"), (402, "billing_error"), (429, "rate_limit_error"), (502, "api_error")],
)
def test_an_error_has_anthropics_shape_too(status: int, kind: str) -> None:
    body = anthropic_error(ModelError("No", status=status, code="refused"))

    assert body == {"type": "error", "error": {"type": kind, "message": "No [refused]", "code": "refused"}}

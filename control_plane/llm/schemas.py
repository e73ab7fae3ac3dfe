"""How the LLM gateway tells of errors: as OpenAI's API does, and as Anthropic's."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from control_plane.problems import BodyTooLarge, Problem, TooManyRequests, Unavailable, problems


class OpenAIErrorDetail(BaseModel):
    """What went wrong, and what to do. `code` is stable."""

    message: str
    type: str
    code: str
    param: str | None


class OpenAIErrorRead(BaseModel):
    """The body of every error of the LLM gateway itself."""

    error: OpenAIErrorDetail


class AnthropicErrorDetail(BaseModel):
    """What went wrong, and what to do. `code` is stable."""

    type: str
    message: str
    code: str


class AnthropicErrorRead(BaseModel):
    """The body of every error of the LLM gateway itself, in Anthropic's dialect."""

    type: Literal["error"]
    error: AnthropicErrorDetail


class TokenCountRead(BaseModel):
    """The size of a request."""

    input_tokens: int = Field(description="Tokens that the model would read.")


def _errors(model: type[BaseModel], status: int | str, text: str, *also: type[Problem]) -> dict[int | str, Any]:
    """An error in the dialect's shape. `also` are those that are answered before the request gets here."""
    content = problems(*also)[int(status)]["content"] if also else {}
    return {status: {"model": model, "description": text, "content": content}}


def _always(model: type[BaseModel]) -> dict[int | str, Any]:
    limited = "The provider, a budget, or this server limits the rate. `Retry-After` says when to repeat."
    return (
        problems(BodyTooLarge)
        | _errors(model, 401, "The execution token is missing, unknown or expired.")
        | _errors(model, 403, "Only an execution token opens this, and only for the one model of its execution.")
        | _errors(model, 429, limited, TooManyRequests)
        | _errors(model, 503, "The provider, or the database, doesn't answer at the moment.", Unavailable)
    )


def _refusals(model: type[BaseModel]) -> dict[int | str, Any]:
    return _errors(model, 400, "The body isn't a request, or the provider's key is missing.") | _errors(
        model, "4XX", "The provider refused the request, or a budget has no room for it, with this status."
    )


OPENAI_ERRORS, OPENAI_REFUSALS = _always(OpenAIErrorRead), _refusals(OpenAIErrorRead)
ANTHROPIC_ERRORS, ANTHROPIC_REFUSALS = _always(AnthropicErrorRead), _refusals(AnthropicErrorRead)

"""How the LLM gateway tells of errors: as OpenAI's API does."""

from pydantic import BaseModel


class OpenAIErrorDetail(BaseModel):
    """What went wrong, and what to do. `code` is stable."""

    message: str
    type: str
    code: str
    param: str | None


class OpenAIErrorRead(BaseModel):
    """The body of every error of the LLM gateway itself."""

    error: OpenAIErrorDetail

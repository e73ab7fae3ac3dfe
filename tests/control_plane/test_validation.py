from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from control_plane.agents.schemas import AgentCreate
from control_plane.validation import described

pytestmark = pytest.mark.unit

MODEL = {"provider": "scripted", "model": "assistant"}
NOWHERE = "0b0f6f0e-7b52-4d0c-9f0e-3c2b7d1a9e55"


@pytest.mark.parametrize(
    ("change", "location", "message"),
    [
        (
            {"environment_id": "x"},
            "body.environment_id",
            "must be a UUID, such as 0b0f6f0e-7b52-4d0c-9f0e-3c2b7d1a9e55",
        ),
        ({"environment_id": 1}, "body.environment_id", "must be a UUID, such as 0b0f6f0e-7b52-4d0c-9f0e-3c2b7d1a9e55"),
        ({"name": 1}, "body.name", "must be text"),
        ({"name": ""}, "body.name", "must have 1 or more characters"),
        ({"name": "n" * 201}, "body.name", "must have at most 200 characters"),
        ({"name": "\x00"}, "body.name", "must not contain NUL characters"),
        ({"agent_type": "?"}, "body.agent_type", "must match the pattern ^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"),
        ({"toolsets": "files"}, "body.toolsets", "must be a list"),
        ({"toolsets": ["a"] * 51}, "body.toolsets", "must have at most 50 entries"),
        ({"toolsets": [1]}, "body.toolsets.0", "must be text"),
        ({"llm_config": "gpt"}, "body.llm_config", "must be an object"),
        ({"llm_config": MODEL | {"temperature": 3}}, "body.llm_config.temperature", "must be 2.0 or less"),
        ({"llm_config": MODEL | {"temperature": "hot"}}, "body.llm_config.temperature", "must be a number"),
        ({"llm_config": MODEL | {"max_tokens": 0}}, "body.llm_config.max_tokens", "must be 1 or more"),
        ({"llm_config": MODEL | {"max_tokens": 1.5}}, "body.llm_config.max_tokens", "must be a whole number"),
        ({"llm_config": {"provider": "scripted"}}, "body.llm_config.model", "is missing"),
        (
            {"llm_config": MODEL | {"modell": "x"}},
            "body.llm_config.modell",
            "is not known here; known are provider, model, temperature, max_tokens, reasoning_effort",
        ),
        (
            {"tools": []},
            "body.tools",
            f"is not known here; known are {', '.join(AgentCreate.model_fields)}",
        ),
    ],
)
def test_what_can_not_be_used_is_named_with_what_to_send_instead(
    change: dict[str, Any], location: str, message: str
) -> None:
    body = {"name": "Agent", "environment_id": NOWHERE, "llm_config": MODEL} | change
    with pytest.raises(ValidationError) as refused:
        AgentCreate.model_validate(body)

    [error] = described(refused.value.errors(), model=AgentCreate, inside=["body"])

    assert (error["location"], error["message"]) == (location, f"`{location.removeprefix('body.')}` {message}.")


class Odd(BaseModel):
    """A body that needs what no body of ours does."""

    part: bytes


def test_an_error_without_words_of_its_own_keeps_pydantics() -> None:
    with pytest.raises(ValidationError) as refused:
        Odd.model_validate({"part": 1})

    [error] = described(refused.value.errors(), model=Odd, inside=["body"])

    assert error["message"] == "`part` must be a valid bytes."

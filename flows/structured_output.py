"""Answers that are JSON objects of a given shape: asked for, checked, and asked for once more if they don't fit."""

import json
import re
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from pydantic import JsonValue
from referencing import Registry
from referencing.exceptions import Unresolvable

from flows.dialogue import Dialogue
from flows.fitting import cut
from flows.runtimes.protocol import Conversation, RunFailed

_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)\n?\s*```", re.DOTALL)
_MOST_BYTES_OF_A_REASON = 2_000


class _Unfit(Exception):
    """The answer isn't what was asked for. `str()` tells the model why."""


def request(schema: dict[str, JsonValue]) -> str:
    """What the system prompt says of the answer."""
    return (
        "When you have done what was asked, answer with a single JSON object and nothing else: no words around it. It"
        f" must fit this JSON Schema:\n{json.dumps(schema, ensure_ascii=False)}"
    )


async def fitted(
    dialogue: Dialogue, conversation: Conversation, answer: str, schema: dict[str, JsonValue]
) -> tuple[str, dict[str, JsonValue]]:
    """The answer that fits, as text and as an object. Where it doesn't, the model is told why and may answer once more.

    Raises `RunFailed`.
    """
    try:
        return answer, _checked(answer, schema)
    except _Unfit as unfit:
        answer = await dialogue.say(
            conversation,
            f"Your answer can't be used. {unfit} Answer again with the corrected JSON object and nothing else.",
        )
    try:
        return answer, _checked(answer, schema)
    except _Unfit as unfit:
        raise RunFailed(
            "The model's answer doesn't fit the output schema, not even after it was told what is wrong."
            f" {unfit} Make the schema simpler, say in the instructions what is meant, or use another model.",
            code="output_invalid",
        ) from unfit


def _checked(answer: str, schema: dict[str, JsonValue]) -> dict[str, JsonValue]:
    parsed = _object(answer)
    # With a registry that knows nothing: the library would fetch what a schema refers to.
    validator = Draft202012Validator(schema, registry=Registry())
    try:
        error: ValidationError | None = best_match(validator.iter_errors(parsed))
    except (Unresolvable, RecursionError, re.error) as problem:
        raise RunFailed(
            f"The output schema can't be applied: {cut(str(problem), _MOST_BYTES_OF_A_REASON)}. Correct it.",
            code="output_schema_invalid",
        ) from problem
    if error:
        where = error.json_path.removeprefix("$").removeprefix(".")
        raise _Unfit(cut(f"{where}: {error.message}." if where else f"{error.message}.", _MOST_BYTES_OF_A_REASON))
    return parsed


def _object(answer: str) -> dict[str, JsonValue]:
    """The object, also where a model puts it into a code block."""
    block = _FENCE.search(answer)
    text = block.group(1) if block else answer
    try:
        parsed: Any = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise _Unfit(f"It isn't JSON: {error}.") from error
    if not isinstance(parsed, dict):
        raise _Unfit("It is JSON, but not an object.")
    return parsed


def _refuse(constant: str) -> None:
    raise ValueError(f"JSON has no {constant}")

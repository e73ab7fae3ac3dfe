"""What pydantic refuses, in plain words: which field, what it must be and, for an unknown one, which are known."""

import types
from collections.abc import Sequence
from typing import Any, get_args

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from pydantic_core import ErrorDetails

from control_plane.methods import MethodNotAllowed, offered
from control_plane.problems import Invalid, MalformedJson, Problem, UnsupportedMediaType, render_problem

_NOT_JSON = "The body isn't declared as JSON. Send it with the header `Content-Type: application/json`."

_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "uuid_parsing": "must be a UUID, such as 0b0f6f0e-7b52-4d0c-9f0e-3c2b7d1a9e55",
    "string_type": "must be text",
    "string_too_short": "must have {min_length} or more characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "too_short": "must have {min_length} or more entries",
    "too_long": "must have at most {max_length} entries",
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
    "enum": "must be {expected}",
    "literal_error": "must be {expected}",
    "model_type": "must be an object",
    "list_type": "must be a list",
    "datetime_parsing": "must be a time with its zone, such as 2026-01-31T12:00:00Z",
    "none_required": "must be null or left out",
    "value_error": "{error}",
}
"""What to say after a field's name, by pydantic's kind of error; `{…}` are of pydantic's context."""

_SAME = {
    "uuid_type": "uuid_parsing",
    "int_type": "int_parsing",
    "int_from_float": "int_parsing",
    "int_parsing_size": "int_parsing",
    "float_type": "float_parsing",
    "finite_number": "float_parsing",
    "bool_type": "bool_parsing",
    "model_attributes_type": "model_type",
    "dict_type": "model_type",
    "datetime_type": "datetime_parsing",
    "datetime_from_date_parsing": "datetime_parsing",
    "datetime_object_invalid": "datetime_parsing",
    "timezone_aware": "datetime_parsing",
}
"""Kinds of error that come to the same for who mends them."""


def described(items: Sequence[ErrorDetails], *, model: Any = None, inside: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The `errors` of a problem: `items` are those of a request or, where `inside` it was found, those of a `model`."""
    return [_described(item, [*inside, *item["loc"]], fields=_known_fields(item, model, inside)) for item in items]


def _described(item: ErrorDetails, place: Sequence[str | int], *, fields: Sequence[str]) -> dict[str, Any]:
    words = _words(item) + (f"; known are {', '.join(fields)}" if fields else "")
    field = ".".join(str(part) for part in place[1:])
    if field:
        message = f"`{field}` {words}."
    elif item["type"] == "value_error":  # of a whole body, and a sentence already
        message = f"{words[:1].upper()}{words[1:]}."
    else:
        message = f"The {place[0]} {words}."
    return {"location": ".".join(str(part) for part in place), "message": message, "code": item["type"]}


def _words(item: ErrorDetails) -> str:
    kind = _SAME.get(item["type"], item["type"])
    if f"string_{kind}" in _WORDS and isinstance(item["input"], str):  # a length that is measured after a validator
        kind = f"string_{kind}"
    if kind in _WORDS:
        return _WORDS[kind].format_map(item.get("ctx") or {})
    return item["msg"].replace("Input should", "must", 1)


def _known_fields(item: ErrorDetails, model: Any, inside: Sequence[str]) -> list[str]:
    if item["type"] != "extra_forbidden":
        return []
    place = item["loc"] if inside else item["loc"][1:]
    return _fields(model, place[:-1])


def unusable(errors: list[dict[str, Any]]) -> Invalid:
    """The problem that tells of them all."""
    named = ", ".join(error["location"] for error in errors)
    problem = Invalid(f"Mend these and send the request again: {named}.")
    problem.errors = errors
    return problem


def install(app: FastAPI) -> None:
    """Let `app` say in these words what it can't use of a request."""
    app.add_exception_handler(RequestValidationError, _render)


async def _render(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - Starlette's handler type is wider than this one's
    return render_problem(request, problem_of(request, error))


def problem_of(request: Request, error: RequestValidationError) -> Problem:
    """Why the request can't be used."""
    items: Sequence[ErrorDetails] = error.errors()
    if found := next((item for item in items if item["type"] == "json_invalid"), None):
        return MalformedJson(f"{found['ctx']['error']} (at character {found['loc'][-1]}).")
    if any(item["loc"][0] == "path" for item in items) and request.method not in (methods := offered(request)):
        # `GET /policies/evaluate` got here as the policy of that id.
        return MethodNotAllowed(request, methods)
    if isinstance(error.body, bytes):  # FastAPI didn't read it
        return UnsupportedMediaType(_NOT_JSON)
    body = getattr(request.scope["route"], "body_field", None)
    return unusable(described(items, model=body and body.field_info.annotation))


def _fields(kind: Any, path: Sequence[str | int]) -> list[str]:
    """The fields of the model that stands at `path` below the type `kind`; none if there is no model."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if path:
            field = kind.model_fields.get(str(path[0]))
            return _fields(field.annotation, path[1:]) if field else []
        return [name for name, field in kind.model_fields.items() if field.annotation is not types.NoneType]
    below = path[1:] if path and isinstance(path[0], int) else path
    return next((found for inner in get_args(kind) if (found := _fields(inner, below))), [])

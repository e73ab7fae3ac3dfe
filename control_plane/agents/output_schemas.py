"""JSON Schemas of answers: which ones an agent may be asked to fit."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import AfterValidator, Field
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from control_plane.contract import Json, Text

_MOST_CHARACTERS = 50_000
"""It is a part of every model call."""


def _usable(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") != "object":
        raise ValueError('must describe an object: {"type": "object", …}')
    try:
        if len(json.dumps(schema)) > _MOST_CHARACTERS:
            raise ValueError(f"must have at most {_MOST_CHARACTERS} characters as JSON")
        Draft202012Validator.check_schema(schema)
        _check_references(schema)
    except SchemaError as error:
        raise ValueError(f"must be a JSON Schema (2020-12): {error.json_path}: {error.message[:500]}") from error
    except RecursionError:
        raise ValueError("must not be nested that deeply") from None
    return schema


def _check_references(schema: dict[str, Any]) -> None:
    """What the schema of schemas doesn't look at. Nothing is fetched for it, here or on a worker."""
    resolver = Registry().resolver_with_root(Resource.from_contents(schema, default_specification=DRAFT202012))
    for word, value in _strings(schema):
        if word not in {"$ref", "$dynamicRef"}:
            continue
        if not value.startswith("#"):
            raise ValueError(f"must not refer to anything outside of itself, as {value[:200]!r} does")
        try:
            resolver.lookup(value)
        except Unresolvable:
            raise ValueError(f"must not refer to what isn't there, as {value[:200]!r} does") from None


def _strings(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for word, part in value.items():
            if isinstance(part, str):
                yield word, part
            else:
                yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)


OutputSchema = Annotated[
    dict[Text, Json],
    Field(
        description="A JSON Schema (2020-12) of an object. The answer then is such an object, in `output`.",
        examples=[{"type": "object", "properties": {"healthy": {"type": "boolean"}}, "required": ["healthy"]}],
    ),
    AfterValidator(_usable),
]

"""JSON schemas as tables: a row for each field, its type in words."""

import json
import re
from collections.abc import Iterator
from typing import Any

ANYTHING = {"JsonValue"}
"""Schemas that say nothing about a value."""

_ANY = "any JSON"


def anchor(heading: str) -> str:
    """The fragment by which a heading is linked to."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def references(part: Any) -> Iterator[str]:
    """The names of all schemas that a part of the document refers to."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"].rpartition("/")[2]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def parameter_table(parameters: list[dict[str, Any]]) -> list[str]:
    """A row for each parameter."""
    lines = ["| Parameter | In | Type | |", "|---|---|---|---|"]
    for one in parameters:
        required = " required" if one.get("required") and one["in"] != "path" else ""
        text = cell(one.get("description", ""))
        lines.append(f"| `{one['name']}` | {one['in']}{required} | {type_of(one['schema'], nullable=False)} | {text} |")
    return lines


def schema_section(name: str, schema: dict[str, Any]) -> list[str]:
    """A heading, a row for each field, and the examples."""
    lines = [f"### {name} object", "", schema.get("description", "")]
    if "enum" in schema:
        return [*lines, "", "One of " + ", ".join(map(code, schema["enum"])) + "."]
    if "properties" not in schema:
        return lines
    needed = set(schema.get("required", []))
    always = needed == set(schema["properties"])  # as in most answers, where a column would say nothing
    lines += ["", f"| Field | Type |{'' if always else ' Default |'} |", f"|---|---|{'' if always else '---|'}---|"]
    for name_of_field, one in schema["properties"].items():
        default = (
            "required" if name_of_field in needed else f"`{json.dumps(one['default'])}`" if "default" in one else ""
        )
        column = "" if always else f" {cell(default)} |"
        lines.append(f"| `{name_of_field}` | {type_of(one)} |{column} {cell(one.get('description', ''))} |")
    for example in schema.get("examples", []):
        lines += ["", "```json", _example(example), "```"]
    return lines


def _example(example: dict[str, Any]) -> str:
    return "{" + ",\n ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in example.items()) + "}"


def type_of(schema: dict[str, Any], *, nullable: bool = True) -> str:
    """What a value must be, in words. Unless `nullable`, that it may be null goes without saying."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _ANY if name in ANYTHING else f"[{name}](#{anchor(name)}-object)"
    if kinds := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(type_of(one) for one in kinds if nullable or one.get("type") != "null")
    if "const" in schema or "enum" in schema:
        return " or ".join(code(json.dumps(value)) for value in schema.get("enum", [schema.get("const")]))
    return ", ".join(filter(None, [_kind(schema), *_bounds(schema)]))


def _kind(schema: dict[str, Any]) -> str:
    match schema.get("type"):
        case "array":
            return f"list of {type_of(schema.get('items', {}))}"
        case "object":
            inner = schema.get("additionalProperties")
            return f"object of {type_of(inner)}" if isinstance(inner, dict) and inner else "object"
        case "string":
            return {"uuid": "UUID", "date-time": "time"}.get(schema.get("format", ""), "text")
        case None:
            return _ANY
        case "integer":
            return "whole number"
        case kind:
            return str(kind)


def _bounds(schema: dict[str, Any]) -> Iterator[str]:
    for least, most, of in (
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " entries"),
        ("minProperties", "maxProperties", " members"),
        ("minimum", "maximum", ""),
    ):
        low, high = schema.get(least), schema.get(most)
        if low is not None and high is not None:
            yield f"{_number(low)} to {_number(high)}{of}"
        elif high is not None:
            yield f"at most {_number(high)}{of}"
        elif low is not None:
            yield f"at least {_number(low)}{of}"
    if "pattern" in schema:
        yield f"like {code(schema['pattern'])}"
    if schema.get("uniqueItems"):
        yield "each once"


def _number(value: float) -> str:
    """A bound, which FastAPI makes a float even where the value is a whole number."""
    return f"{value:,}".removesuffix(".0")


def code(text: str | None) -> str:
    """A word as code."""
    return "none" if text is None else f"`{cell(str(text))}`"


def cell(text: str) -> str:
    """A text in one line that breaks no table."""
    return " ".join(text.split()).replace("|", "\\|")


def capital(text: str) -> str:
    """With a capital letter, and the rest as it was."""
    return text[0].upper() + text[1:]

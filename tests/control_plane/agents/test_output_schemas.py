from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from control_plane.agents.output_schemas import OutputSchema

pytestmark = pytest.mark.unit

ADAPTER: TypeAdapter[dict[str, Any]] = TypeAdapter(OutputSchema)


def schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def test_a_schema_with_references_inside_itself_is_taken() -> None:
    tree = schema(child={"$ref": "#"}, leaf={"$ref": "#/$defs/leaf"}) | {"$defs": {"leaf": {"type": "string"}}}

    assert ADAPTER.validate_python(tree) == tree


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        ({}, "must describe an object"),
        ({"type": "array"}, "must describe an object"),
        (schema(a={"type": "text"}), "must be a JSON Schema"),
        (schema(a={"$ref": "http://127.0.0.1:1/schema"}), "outside of itself"),
        (schema(a={"$ref": "file:///etc/passwd"}), "outside of itself"),
        (schema(a={"$ref": "#/$defs/none"}), "what isn't there"),
        (schema(a={"pattern": "("}), "is not a .regex."),
        (schema(a={"description": "x" * 50_000}), "at most 50000 characters"),
    ],
)
def test_a_schema_that_can_not_be_applied_is_refused(refused: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ADAPTER.validate_python(refused)

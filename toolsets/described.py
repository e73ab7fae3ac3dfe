"""Arguments of tools that are known by a JSON Schema alone, such as those of an MCP server."""

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from toolsets.failures import ToolFailed

_MOST_TOLD = 5
"""Of the mistakes in one call: the model mends those first."""


def schema_parser(name: str, parameters: dict[str, Any]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """What checks arguments against the schema. It raises `ToolFailed` naming what is wrong.

    Raises `ValueError` if the schema is none.
    """
    # Late, since few toolsets need it and its import takes a while.
    from jsonschema import SchemaError  # noqa: PLC0415
    from jsonschema.validators import validator_for  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415
    from referencing.exceptions import Unresolvable  # noqa: PLC0415

    kind = validator_for(parameters)
    try:
        kind.check_schema(parameters)
    except SchemaError as error:
        raise ValueError(f"the parameters of {name} are no JSON Schema: {error.message}") from error
    # An empty registry: the default one would fetch whatever address or file a `$ref` names.
    validator = kind(parameters, registry=Registry())

    def parse(arguments: Mapping[str, Any]) -> dict[str, Any]:
        try:
            errors = list(islice(validator.iter_errors(arguments), _MOST_TOLD))
        except Unresolvable as error:
            raise ToolFailed(f"{name} can't be called: its schema refers to {error.ref}, outside of itself.") from error
        wrong = [
            f"{'.'.join(str(part) for part in error.absolute_path) or 'arguments'}: {error.message}" for error in errors
        ]
        if wrong:
            raise ToolFailed(f"The arguments of {name} are wrong. {'; '.join(wrong)}.")
        return dict(arguments)

    return parse

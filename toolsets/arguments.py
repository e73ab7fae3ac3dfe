"""From the parameters of a function to the JSON Schema that models read, and from their JSON to its arguments."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.json_schema import GenerateJsonSchema

from toolsets.context import ToolContext
from toolsets.failures import ToolFailed

_NAMED = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}


def argument_model(name: str, function: Callable[..., Any], *, settings: type[BaseModel]) -> type[BaseModel]:
    """The parameters of a tool's function, without the context. Raises `TypeError` if it can't be a tool."""
    hints = get_type_hints(function, include_extras=True)
    parameters = [*inspect.signature(function).parameters.values()]
    context = hints.get(parameters[0].name) if parameters else None
    if context is not ToolContext and get_origin(context) is not ToolContext:
        raise TypeError(f"the first parameter of {name} must be annotated as ToolContext")
    for wanted in get_args(context):
        if isinstance(wanted, type) and not issubclass(settings, wanted):
            raise TypeError(f"{name} wants settings of type {wanted.__name__}, but its toolset has {settings.__name__}")
    fields: dict[str, Any] = {}
    for parameter in parameters[1:]:
        if parameter.name not in hints or parameter.kind not in _NAMED:
            raise TypeError(
                f"{name}: the parameter {parameter.name} needs a type and a name to call it by;"
                " *args, **kwargs and parameters before a / can't be offered"
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    return create_model(name, __config__=ConfigDict(extra="forbid", hide_input_in_errors=True), **fields)


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of a model, without titles: they repeat the names and cost tokens on every model turn."""
    return model.model_json_schema(schema_generator=_Schema)


def parser(name: str, model: type[BaseModel]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """What makes arguments of a model's JSON. It raises `ToolFailed` naming each that is wrong."""

    def parse(arguments: Mapping[str, Any]) -> dict[str, Any]:
        try:
            values = model.model_validate(arguments)
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(str(part) for part in item['loc']) or 'arguments'}: {item['msg']}"
                for item in error.errors()
            )
            raise ToolFailed(f"The arguments of {name} are wrong. {wrong}.") from error
        return {field: getattr(values, field) for field in type(values).model_fields}

    return parse


class _Schema(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False

    def generate(self, schema: Any, mode: Any = "validation") -> dict[str, Any]:
        result = super().generate(schema, mode)
        result.pop("title", None)
        return result

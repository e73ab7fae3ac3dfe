"""What a plugin author writes: a toolset, and typed functions as its tools."""

import asyncio
import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, get_type_hints
from uuid import UUID

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError, create_model
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticSerializationError, to_jsonable_python

from control_plane.wire.mending import mended

Effect = Literal["read", "write", "destroy"]
"""What a tool does to the world: looks at it, changes it so that it can be changed back, or takes something away."""

MAX_OUTPUT_CHARACTERS = 100_000
"""A longer result would fill a model's context; it is cut, with a note."""

Function = TypeVar("Function", bound=Callable[..., Any])

_NAMED = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")


class ToolFailed(Exception):
    """A tool couldn't do what was asked. `str()` is what the model reads, so it says what to do differently."""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool gets besides its arguments.

    `workspace` is an empty folder that belongs to this execution and is removed with it. `idempotency_key` is the same
    when the same call is made again after a crash.
    """

    execution_id: UUID
    tool_execution_id: str
    idempotency_key: str
    workspace: Path
    settings: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tool:
    """One function that an agent may call. `name` is `<toolset>_<function>`; `parameters` is a JSON Schema (object)."""

    name: str
    toolset: str
    description: str
    effect: Effect
    idempotent: bool
    parameters: dict[str, Any]
    _function: Callable[..., Any] = field(repr=False)
    _arguments: type[BaseModel] = field(repr=False)

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the function wants them. Raises `ToolFailed` naming each that is wrong."""
        try:
            model = self._arguments.model_validate(arguments)
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(str(part) for part in item['loc']) or 'arguments'}: {item['msg']}"
                for item in error.errors()
            )
            raise ToolFailed(f"The arguments of {self.name} are wrong. {wrong}.") from error
        return {name: getattr(model, name) for name in type(model).model_fields}

    def normalized(self, arguments: Mapping[str, Any]) -> dict[str, JsonValue]:
        """The arguments as JSON, converted to their types and with the defaults of those left out.

        This is what a policy must see: `"0"` for a number and a missing argument reach the function as something else.
        Raises `ToolFailed` as `validate` does.
        """
        values: dict[str, JsonValue] = to_jsonable_python(self.validate(arguments), inf_nan_mode="null")
        try:
            json.dumps(values, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ToolFailed(f"The arguments of {self.name} are wrong. They hold half a surrogate pair.") from error
        return values

    async def call(self, context: ToolContext, arguments: Mapping[str, Any]) -> JsonValue:
        """Run the function. A sync one runs in a thread. Raises `ToolFailed`, or what the function raises."""
        values = self.validate(arguments)
        if inspect.iscoroutinefunction(self._function):
            result = await self._function(context, **values)
        else:
            result = await asyncio.to_thread(self._function, context, **values)
        try:
            return _bounded(mended(to_jsonable_python(result)))
        except (PydanticSerializationError, ValueError) as error:
            raise TypeError(f"{self.name} returned a {type(result).__name__}, which is not JSON") from error


class Toolset:
    """A named group of tools. `secrets` are the names of the secrets that its tools need."""

    def __init__(self, name: str, *, description: str = "", secrets: Sequence[str] = ()) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"a toolset's name is lower-case letters, digits and underscores, not {name!r}")
        self.name = name
        self.description = description
        self.secrets = tuple(secrets)
        self.tools: dict[str, Tool] = {}

    def tool(self, *, effect: Effect, idempotent: bool = False) -> Callable[[Function], Function]:
        """Make a typed function a tool. Its first parameter is the `ToolContext`, its docstring the description.

        `effect` is required: policies decide by it. `idempotent` says that calling it twice with the same idempotency
        key does no more than calling it once; a `read` always is.
        """

        def register(function: Function) -> Function:
            tool = _tool(self.name, function, effect=effect, idempotent=idempotent or effect == "read")
            if tool.name in self.tools:
                raise ValueError(f"{self.name} has two tools called {function.__name__}")
            self.tools[tool.name] = tool
            return function

        return register


def _tool(toolset: str, function: Callable[..., Any], *, effect: Effect, idempotent: bool) -> Tool:
    name = f"{toolset}_{function.__name__}"
    if len(name) > 64:
        raise ValueError(f"the name {name} is longer than the 64 characters that models accept")
    if effect not in {"read", "write", "destroy"}:
        raise ValueError(f"the effect of {name} must be read, write or destroy, not {effect!r}")
    description = inspect.getdoc(function)
    if not description:
        raise ValueError(f"{name} needs a docstring: it is all a model knows of the tool")
    arguments = _argument_model(name, function)
    return Tool(
        name=name,
        toolset=toolset,
        description=description,
        effect=effect,
        idempotent=idempotent,
        parameters=arguments.model_json_schema(schema_generator=_Schema),
        _function=function,
        _arguments=arguments,
    )


def _argument_model(name: str, function: Callable[..., Any]) -> type[BaseModel]:
    hints = get_type_hints(function, include_extras=True)
    parameters = [*inspect.signature(function).parameters.values()]
    if not parameters or hints.get(parameters[0].name) is not ToolContext:
        raise TypeError(f"the first parameter of {name} must be annotated as ToolContext")
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


class _Schema(GenerateJsonSchema):
    """JSON Schema without titles: they repeat the names and cost tokens on every model turn."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False

    def generate(self, schema: Any, mode: Any = "validation") -> dict[str, Any]:
        result = super().generate(schema, mode)
        result.pop("title", None)
        return result


def _bounded(result: JsonValue) -> JsonValue:
    text = result if isinstance(result, str) else json.dumps(result)
    if len(text) <= MAX_OUTPUT_CHARACTERS:
        return result
    note = f"… (cut: the first {MAX_OUTPUT_CHARACTERS} of {len(text)} characters)"
    return text[:MAX_OUTPUT_CHARACTERS] + note

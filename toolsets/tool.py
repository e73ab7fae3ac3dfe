"""One function that an agent may call."""

import asyncio
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import JsonValue
from pydantic_core import PydanticSerializationError, to_jsonable_python

from control_plane.wire.mending import mended
from toolsets.context import ToolContext
from toolsets.failures import ToolFailed
from toolsets.outputs import MAX_OUTPUT_CHARACTERS

Effect = Literal["read", "write", "destroy"]
"""What a tool does to the world: looks at it, changes it so that it can be changed back, or takes something away."""

EFFECTS: frozenset[str] = frozenset({"read", "write", "destroy"})
MAX_NAME_CHARACTERS = 64
"""What models accept as the name of a tool."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One function that an agent may call. `name` is `<toolset>_<function>`; `parameters` is a JSON Schema (object).

    `timeout` is in seconds; None: as long as the execution lets any call take. `max_output` is in characters. One that
    `waits` does so for what has limits of its own: it may take as long as the execution.
    """

    name: str
    toolset: str
    description: str
    effect: Effect
    idempotent: bool
    parameters: dict[str, Any]
    _function: Callable[..., Any] = field(repr=False)
    _parse: Callable[[Mapping[str, Any]], dict[str, Any]] = field(repr=False)
    timeout: float | None = None
    max_output: int = MAX_OUTPUT_CHARACTERS
    waits: bool = False
    _packed: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.name) > MAX_NAME_CHARACTERS:
            raise ValueError(f"the name {self.name} is longer than the {MAX_NAME_CHARACTERS} characters models accept")
        if self.effect not in EFFECTS:
            raise ValueError(f"the effect of {self.name} must be read, write or destroy, not {self.effect!r}")
        if not self.description:
            raise ValueError(f"{self.name} needs a docstring: it is all a model knows of the tool")
        if self.timeout is not None and self.timeout <= 0:
            raise ValueError(f"the timeout of {self.name} must be more than 0 seconds, not {self.timeout}")
        if self.max_output < 1:
            raise ValueError(f"the max_output of {self.name} must be at least 1 character, not {self.max_output}")

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the function wants them. Raises `ToolFailed` naming each that is wrong."""
        return self._parse(arguments)

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
        """Run the function; its result in full. A sync one runs in a thread.

        Raises `ToolFailed`, or what the function raises.
        """
        values = self.validate(arguments)
        if self._packed:
            values = {"arguments": values}
        if inspect.iscoroutinefunction(self._function):
            result = await self._function(context, **values)
        else:
            threaded = replace(context, _loop=asyncio.get_running_loop())
            result = await asyncio.to_thread(self._function, threaded, **values)
        try:
            written: JsonValue = to_jsonable_python(result)
            return mended(written)
        except (PydanticSerializationError, ValueError) as error:
            raise TypeError(f"{self.name} returned a {type(result).__name__}, which is not JSON") from error

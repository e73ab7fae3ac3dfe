"""How the scripted models read a request in OpenAI's chat format: the latest user message and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from control_plane.llm.turns import ScriptProblem

_CONTEXT = "\n\nContext of the request:"
"""The runtimes put the context of an execution behind this line of the user message; it asks for nothing."""


class _Part(BaseModel):
    type: str = "text"
    text: str = ""


class _CalledFunction(BaseModel):
    name: str


class _Call(BaseModel):
    id: str
    function: _CalledFunction


class _Message(BaseModel):
    role: str
    content: str | list[_Part] | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None

    def text(self) -> str:
        parts = self.content if isinstance(self.content, list) else [_Part(text=self.content or "")]
        text = "\n".join(part.text for part in parts if part.type == "text")
        # JSON may hold half a surrogate pair, which no answer could repeat.
        return text.encode("utf-8", "replace").decode("utf-8")


class Parameter(BaseModel):
    """The part of a parameter's JSON Schema that counts."""

    type: str | list[str] = []
    enum: list[Any] = []
    any_of: "list[Parameter]" = Field(default=[], alias="anyOf")

    @property
    def kinds(self) -> set[str]:
        """The JSON types that it takes. Empty if the schema doesn't say."""
        own = {self.type} if isinstance(self.type, str) else set(self.type)
        return own.union(*(choice.kinds for choice in self.any_of))

    @property
    def options(self) -> list[Any]:
        """The values among which to choose. Empty if any value goes."""
        options = [*self.enum, *(option for choice in self.any_of for option in choice.options)]
        return [option for option in options if option is not None]


class _Parameters(BaseModel):
    properties: dict[str, Parameter] = {}
    required: list[str] = []


class Function(BaseModel):
    """A tool on offer."""

    name: str
    description: str | None = None
    parameters: _Parameters | None = None

    @property
    def properties(self) -> Mapping[str, Parameter]:
        """The parameters by name, in the order of the tool's author."""
        return self.parameters.properties if self.parameters else {}

    @property
    def required(self) -> Sequence[str]:
        """The names of the parameters that must be given."""
        return self.parameters.required if self.parameters else []


class _Tool(BaseModel):
    type: str
    function: Function | None = None


_MESSAGES = TypeAdapter(list[_Message])
_TOOLS = TypeAdapter(list[_Tool])


@dataclass(frozen=True, slots=True)
class Conversation:
    """The part of a request that counts.

    `turns` is the number of the model's turns since the latest user message, `calls` the number of tool calls in them,
    and `results` the answers of the tools, in order: the tool's name and what it said.
    """

    request: str
    functions: tuple[Function, ...]
    turns: int
    calls: int
    results: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, messages: Sequence[Any], tools: Sequence[Any]) -> "Conversation":
        """Read a chat completion request. Without a user message `request` is empty. Raises `ScriptProblem`."""
        try:
            read = _MESSAGES.validate_python(messages)
            offered = _TOOLS.validate_python(tools)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ScriptProblem(
                f"The request isn't in OpenAI's chat format: {where}: {first['msg']}.", code="bad_request"
            ) from error
        position = max((i for i, message in enumerate(read) if message.role == "user"), default=-1)
        since = read[position + 1 :]
        answers = [message for message in since if message.role == "assistant"]
        called = [call for answer in answers for call in answer.tool_calls or []]
        names = {call.id: call.function.name for call in called}
        return cls(
            request=read[position].text().split(_CONTEXT, 1)[0] if position >= 0 else "",
            functions=tuple(tool.function for tool in offered if tool.type == "function" and tool.function),
            turns=len(answers),
            calls=len(called),
            results=tuple(
                (names.get(message.tool_call_id or "", "tool"), message.text())
                for message in since
                if message.role == "tool"
            ),
        )

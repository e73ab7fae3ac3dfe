"""A conversation as no runtime's own: what was said, which tools were called, and what they answered."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from control_plane.wire.model import WireModel


class UserMessage(WireModel):
    """What the requester said."""

    role: Literal["user"] = "user"
    content: str


class ToolCall(WireModel):
    """A tool that the model called. `id` is unique in the conversation and names the call in its result."""

    id: str
    name: str
    arguments: dict[str, JsonValue] = Field(default_factory=dict)


class AssistantMessage(WireModel):
    """One turn of the model. Each of its calls is answered by a `ToolResult` right behind it, in any order."""

    role: Literal["assistant"] = "assistant"
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


class ToolResult(WireModel):
    """What a tool answered, or why it didn't run, as the model read it."""

    role: Literal["tool"] = "tool"
    tool_call_id: str
    content: str


Message = Annotated[UserMessage | AssistantMessage | ToolResult, Field(discriminator="role")]

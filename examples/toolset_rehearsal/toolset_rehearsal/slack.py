"""Messages of the make-believe platform."""

from toolset_rehearsal.platform import opened
from toolsets import ToolContext, Toolset, hookimpl

slack = Toolset("slack", description="Rehearsal: messages nobody receives.")


@slack.tool(effect="write")
def post(context: ToolContext, channel: str, text: str) -> dict[str, object]:
    """Post a message to a channel."""
    with opened(context) as platform:
        platform["messages"].append({"channel": channel, "text": text})
        return {"channel": channel, "messages": len(platform["messages"])}


@hookimpl
def register_toolset() -> Toolset:
    """The toolset `slack`."""
    return slack

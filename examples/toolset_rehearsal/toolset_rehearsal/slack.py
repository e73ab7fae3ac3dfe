"""Messages of the make-believe platform."""

from toolset_rehearsal.platform import opened
from toolsets import ToolContext, Toolset, hookimpl
from toolsets.builtin.slack.settings import SlackSettings

slack = Toolset("slack", description="Rehearsal: messages nobody receives.", settings=SlackSettings)


@slack.tool(effect="write")
def post(context: ToolContext[SlackSettings], channel: str, text: str) -> dict[str, object]:
    """Post a message to a channel."""
    context.settings.check_message(text)
    with opened(context) as platform:
        platform["messages"].append({"channel": channel, "text": text})
        return {"channel": channel, "messages": len(platform["messages"])}


@hookimpl
def register_toolset() -> Toolset:
    """The toolset `slack`."""
    return slack

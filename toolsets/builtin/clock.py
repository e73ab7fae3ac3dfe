"""What time it is."""

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from toolsets import ToolContext, ToolFailed, Toolset, hookimpl

clock = Toolset("clock", description="Dates and times.")


@clock.tool(effect="read")
def now(context: ToolContext, timezone: str = "UTC") -> str:  # noqa: ARG001 - every tool takes the context
    """Tell what time it is: the current date and time in a time zone such as Europe/Berlin, as ISO 8601."""
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ToolFailed(f"There is no time zone {timezone!r}. Use a name such as Europe/Berlin or UTC.") from error
    return datetime.now(zone).isoformat(timespec="seconds")


@hookimpl
def register_toolset() -> Toolset:
    """The toolset `clock`."""
    return clock

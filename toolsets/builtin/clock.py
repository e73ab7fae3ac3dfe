"""What time it is, here and elsewhere."""

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from toolsets import ToolContext, ToolFailed, Toolset, hookimpl

clock = Toolset("clock", description="Dates and times.")


@clock.tool(effect="read")
def now(context: ToolContext, timezone: str = "UTC") -> str:  # noqa: ARG001 - every tool takes the context
    """Tell what time it is: the current date and time in a time zone such as Europe/Berlin, as ISO 8601."""
    return datetime.now(_zone(timezone)).isoformat(timespec="seconds")


@clock.tool(effect="read")
def convert(context: ToolContext, time: datetime, timezone: str) -> dict[str, str]:  # noqa: ARG001 - as above
    """Convert a time (ISO 8601, UTC where no zone is named) to another time zone, with the day of the week there."""
    try:
        there = _aware(time).astimezone(_zone(timezone))
    except OverflowError as error:
        raise ToolFailed("That time is beyond the years 1 to 9999 in that time zone.") from error
    return {"time": there.isoformat(timespec="seconds"), "weekday": there.strftime("%A")}


@clock.tool(effect="read")
def between(context: ToolContext, start: datetime, end: datetime) -> dict[str, object]:  # noqa: ARG001 - as above
    """Tell how long it is from one time to another (ISO 8601, UTC where they name no zone). Negative: it was before."""
    passed = _aware(end) - _aware(start)
    return {"seconds": passed.total_seconds(), "days": round(passed.total_seconds() / 86_400, 3)}


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=ZoneInfo("UTC"))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ToolFailed(f"There is no time zone {name!r}. Use a name such as Europe/Berlin or UTC.") from error


@hookimpl
def register_toolset() -> Toolset:
    """The toolset `clock`."""
    return clock

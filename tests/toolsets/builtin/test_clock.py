from datetime import UTC, datetime, timedelta

import pytest

from toolsets import ToolContext, ToolFailed
from toolsets.builtin.clock import clock

pytestmark = pytest.mark.unit

now, convert, between = (clock.tools[f"clock_{name}"] for name in ("now", "convert", "between"))


async def test_the_time_is_told_in_utc_unless_asked_otherwise(context: ToolContext) -> None:
    before = datetime.now(UTC).replace(microsecond=0)

    told = datetime.fromisoformat(str(await now.call(context, {})))

    assert told.utcoffset() == timedelta(0)
    assert before <= told <= datetime.now(UTC)


async def test_the_time_is_told_in_the_zone_asked_for(context: ToolContext) -> None:
    told = datetime.fromisoformat(str(await now.call(context, {"timezone": "Asia/Kolkata"})))

    assert told.utcoffset() == timedelta(hours=5, minutes=30)


@pytest.mark.parametrize("zone", ["Atlantis", "", "../../etc/passwd", "/etc/localtime", "Europe", "a\0b", "x" * 5000])
async def test_a_zone_that_does_not_exist_is_explained(context: ToolContext, zone: str) -> None:
    with pytest.raises(ToolFailed, match="There is no time zone"):
        await now.call(context, {"timezone": zone})


def test_the_clock_only_reads() -> None:
    assert {tool.effect for tool in clock.tools.values()} == {"read"}


async def test_a_time_is_told_in_another_zone(context: ToolContext) -> None:
    told = await convert.call(context, {"time": "2026-07-01T23:30:00Z", "timezone": "Europe/Berlin"})

    assert told == {"time": "2026-07-02T01:30:00+02:00", "weekday": "Thursday"}


@pytest.mark.parametrize(
    ("start", "end", "seconds"),
    [
        ("2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00", 23 * 3600),
        ("2026-01-01T00:00:00", "2026-01-01T00:00:00Z", 0),
        ("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", -86400),
    ],
)
async def test_the_time_between_is_told(context: ToolContext, start: str, end: str, seconds: float) -> None:
    told = await between.call(context, {"start": start, "end": end})

    assert told == {"seconds": seconds, "days": round(seconds / 86400, 3)}


@pytest.mark.parametrize("time", ["yesterday", "9999-12-31T23:59:59Z"])
async def test_a_time_that_can_not_be_told_is_explained(context: ToolContext, time: str) -> None:
    with pytest.raises(ToolFailed, match=r"wrong|beyond the years"):
        await convert.call(context, {"time": time, "timezone": "Asia/Tokyo"})

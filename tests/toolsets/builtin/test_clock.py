from datetime import UTC, datetime, timedelta

import pytest

from toolsets import ToolContext, ToolFailed
from toolsets.builtin.clock import clock

pytestmark = pytest.mark.unit

now = clock.tools["clock_now"]


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

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from pydantic import JsonValue, ValidationError

from control_plane.wire.executions import (
    LEAST_BODY_BYTES,
    MAX_BATCH_BYTES,
    MAX_EVENTS_A_BATCH,
    EventReceipt,
    EventReport,
    EventType,
)
from flows.reporting import MAX_WAITING, Reporter

pytestmark = pytest.mark.unit

EXECUTION = UUID(int=7)


class Line:
    """The control plane's side of `Reporting`: takes a report when its gate is open, or fails."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.reached = asyncio.Event()
        self.failure: Exception | None = None
        self.reports: list[EventReport] = []

    async def report(self, execution_id: UUID, report: EventReport) -> EventReceipt:
        assert execution_id == EXECUTION
        self.reached.set()
        await self.open.wait()
        if self.failure:
            raise self.failure
        self.reports.append(report)
        return EventReceipt(sequence=report.events[-1].sequence)

    @property
    def sequences(self) -> list[int]:
        return [event.sequence for report in self.reports for event in report.events]

    @property
    def statuses(self) -> list[object]:
        return [event.data.get("status") for report in self.reports for event in report.events]


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
async def reporter(line: Line) -> AsyncIterator[Reporter]:
    async with Reporter(line, EXECUTION, fence=3) as running:
        yield running


async def tell(reporter: Reporter, *statuses: object) -> None:
    for status in statuses:
        await reporter.emit(EventType.STATUS, {"status": str(status)})


def chunk(content: str, message_id: str = "m1") -> dict[str, JsonValue]:
    return {"data": {"content": content, "message_id": message_id}}


async def hold(line: Line, reporter: Reporter) -> None:
    """Occupy the line with one event, so that what follows has to wait."""
    line.open.clear()
    await tell(reporter, "first")
    await line.reached.wait()


async def test_events_arrive_in_order_numbered_from_one_under_the_claims_fence(line: Line, reporter: Reporter) -> None:
    await tell(reporter, *range(50))
    await reporter.flush()

    assert line.statuses == [str(number) for number in range(50)]
    assert line.sequences == [*range(1, 51)]
    assert {report.fence for report in line.reports} == {3}


async def test_an_event_is_sent_at_once_when_the_line_is_free(line: Line, reporter: Reporter) -> None:
    await tell(reporter, "only")
    async with asyncio.timeout(10):
        await line.reached.wait()
        await reporter.flush()

    assert line.statuses == ["only"]


async def test_what_waited_travels_together(line: Line, reporter: Reporter) -> None:
    await hold(line, reporter)
    await tell(reporter, *range(20))

    line.open.set()
    await reporter.flush()

    assert [len(report.events) for report in line.reports] == [1, 20]


async def test_parts_of_a_message_in_quick_succession_travel_together(
    line: Line, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.reporting.REPORTS_EVERY_SECONDS", 30.0)
    await reporter.emit(EventType.MESSAGE_CHUNK, chunk("first "))
    await line.reached.wait()

    for word in ("second ", "third ", "fourth"):
        await reporter.emit(EventType.MESSAGE_CHUNK, chunk(word))
        await asyncio.sleep(0)
    await reporter.flush()

    assert [event.data for report in line.reports for event in report.events] == [
        chunk("first "),
        chunk("second third fourth"),
    ]


async def test_what_happens_in_quick_succession_travels_together_as_soon_as_somebody_waits_for_it(
    line: Line, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.reporting.REPORTS_EVERY_SECONDS", 30.0)
    await tell(reporter, "first")
    await line.reached.wait()

    await reporter.emit(EventType.MESSAGE_CHUNK, chunk("second"))
    await tell(reporter, "third")
    async with asyncio.timeout(10):
        await reporter.flush()

    assert [len(report.events) for report in line.reports] == [1, 2]


async def test_a_batch_holds_no_more_events_than_the_protocol_allows(line: Line, reporter: Reporter) -> None:
    await hold(line, reporter)
    await tell(reporter, *range(MAX_EVENTS_A_BATCH + 1))

    line.open.set()
    await reporter.flush()

    assert [len(report.events) for report in line.reports] == [1, MAX_EVENTS_A_BATCH, 1]
    assert line.sequences == [*range(1, MAX_EVENTS_A_BATCH + 3)]


async def test_a_batch_stays_below_the_servers_body_limit(line: Line, reporter: Reporter) -> None:
    await hold(line, reporter)
    await tell(reporter, *["x" * 200_000] * 5)

    line.open.set()
    await reporter.flush()

    assert [len(report.events) for report in line.reports] == [1, 2, 2, 1]
    assert max(len(report.model_dump_json()) for report in line.reports) < MAX_BATCH_BYTES + 1000


@pytest.mark.parametrize("text", ["x", "\x01", "\U0001f600"])
async def test_an_event_too_large_for_a_report_is_cut_to_fit(line: Line, reporter: Reporter, text: str) -> None:
    told = {"role": "assistant", "content": text * MAX_BATCH_BYTES, "message_id": "m1"}

    await reporter.emit(EventType.MESSAGE, told)
    await reporter.flush()

    [event] = line.reports[0].events
    assert (event.data["role"], event.data["message_id"]) == ("assistant", "m1")
    assert f"(cut: it has {MAX_BATCH_BYTES} characters)" in str(event.data["content"])
    assert len(line.reports[0].model_dump_json()) <= MAX_BATCH_BYTES + 1000


async def test_a_full_report_fits_into_the_least_body_that_a_server_accepts(line: Line, reporter: Reporter) -> None:
    share = MAX_BATCH_BYTES // MAX_EVENTS_A_BATCH - len('{"status": ""}')
    await hold(line, reporter)
    await tell(reporter, *["x" * share] * MAX_EVENTS_A_BATCH)

    line.open.set()
    await reporter.flush()

    assert len(line.reports[1].events) == MAX_EVENTS_A_BATCH
    assert len(line.reports[1].model_dump_json()) < LEAST_BODY_BYTES


async def test_what_is_abandoned_is_not_told_and_leaving_does_not_wait_for_it(line: Line) -> None:
    line.open.clear()
    async with asyncio.timeout(10), Reporter(line, EXECUTION, fence=1) as reporter:
        await tell(reporter, "under way")
        await line.reached.wait()
        reporter.abandon(ConnectionError("not ours any more"))
        with pytest.raises(ConnectionError, match="not ours any more"):
            await tell(reporter, "more")

    assert line.reports == []


async def test_waiting_chunks_of_one_message_become_one(line: Line, reporter: Reporter) -> None:
    await hold(line, reporter)
    await reporter.emit(EventType.MESSAGE_CHUNK, chunk("Hel"))
    await reporter.emit(EventType.MESSAGE_CHUNK, chunk("lo"))
    await reporter.emit(EventType.MESSAGE_CHUNK, chunk("other", "m2"))
    await tell(reporter, "between")
    await reporter.emit(EventType.MESSAGE_CHUNK, chunk("again", "m2"))

    line.open.set()
    await reporter.flush()

    assert [event.data for event in line.reports[1].events] == [
        chunk("Hello"),
        chunk("other", "m2"),
        {"status": "between"},
        chunk("again", "m2"),
    ]
    assert line.sequences == [1, 2, 3, 4, 5]


async def test_merging_does_not_change_what_was_handed_over(line: Line, reporter: Reporter) -> None:
    first = chunk("Hel")
    await hold(line, reporter)
    await reporter.emit(EventType.MESSAGE_CHUNK, first)
    await reporter.emit(EventType.MESSAGE_CHUNK, chunk("lo"))

    line.open.set()
    await reporter.flush()

    assert first == chunk("Hel")


async def test_an_event_is_told_as_it_was_when_it_happened(line: Line, reporter: Reporter) -> None:
    data: dict[str, JsonValue] = {"status": "before"}
    await hold(line, reporter)
    await reporter.emit(EventType.STATUS, data)
    data["status"] = "after"

    line.open.set()
    await reporter.flush()

    assert line.statuses == ["first", "before"]


async def test_whoever_emits_waits_while_too_much_is_held_back(line: Line, reporter: Reporter) -> None:
    await hold(line, reporter)
    await tell(reporter, *range(MAX_WAITING))
    late = asyncio.create_task(tell(reporter, "late"))
    await asyncio.wait([late], timeout=0.05)
    waited = not late.done()

    line.open.set()
    await late
    await reporter.flush()

    assert waited
    assert line.statuses[-1] == "late"
    assert line.sequences == [*range(1, MAX_WAITING + 3)]


async def test_flush_waits_until_everything_has_been_received(line: Line, reporter: Reporter) -> None:
    await hold(line, reporter)
    flushing = asyncio.create_task(reporter.flush())
    await asyncio.wait([flushing], timeout=0.05)
    waited = not flushing.done()

    line.open.set()
    await flushing

    assert waited
    assert line.statuses == ["first"]


async def test_leaving_delivers_what_is_left(line: Line) -> None:
    async with Reporter(line, EXECUTION, fence=1) as reporter:
        await tell(reporter, "a", "b")

    assert line.statuses == ["a", "b"]


async def test_a_failed_delivery_is_raised_by_flush_and_by_every_further_event(line: Line, reporter: Reporter) -> None:
    line.failure = ConnectionError("the line is dead")
    await tell(reporter, "lost")

    with pytest.raises(ConnectionError, match="the line is dead"):
        await reporter.flush()
    with pytest.raises(ConnectionError, match="the line is dead"):
        await tell(reporter, "more")

    assert line.reports == []


async def test_a_failed_delivery_frees_whoever_waits_for_room(line: Line, reporter: Reporter) -> None:
    await hold(line, reporter)
    await tell(reporter, *range(MAX_WAITING))
    late = asyncio.create_task(tell(reporter, "late"))
    line.failure = ConnectionError("the line is dead")

    line.open.set()

    with pytest.raises(ConnectionError):
        await late


async def test_leaving_after_a_failed_delivery_does_not_hang(line: Line) -> None:
    line.failure = ConnectionError("the line is dead")

    async with asyncio.timeout(10), Reporter(line, EXECUTION, fence=1) as reporter:
        await tell(reporter, "lost")

    assert line.reports == []


async def test_an_event_that_is_not_json_is_refused_where_it_was_made(line: Line, reporter: Reporter) -> None:
    thing: Any = object()

    with pytest.raises(ValidationError):
        await reporter.emit(EventType.STATUS, {"status": thing})
    await tell(reporter, "fine")
    await reporter.flush()

    assert line.statuses == ["fine"]


async def test_what_nobody_could_write_down_is_mended(line: Line, reporter: Reporter) -> None:
    await reporter.emit(EventType.STATUS, {"status": "half \ud83d", "degrees": float("nan")})
    await reporter.flush()

    assert line.reports[0].events[0].data == {"status": "half ?", "degrees": None}


async def test_an_event_after_the_end_is_refused_rather_than_lost(line: Line) -> None:
    async with Reporter(line, EXECUTION, fence=1) as reporter:
        pass

    with pytest.raises(RuntimeError, match="after the end"):
        await tell(reporter, "late")

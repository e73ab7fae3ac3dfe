import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from control_plane.events import service as events
from control_plane.events.models import Event
from control_plane.settings import Settings
from tests.clock import five_seconds_later
from tests.conftest import TestDatabase
from tests.orchestrator import FakeOrchestrator
from tests.serving import api_server
from tests.streams import events_in, opened, read
from tests.tenants import Tenant, create_tenant
from tests.worker import claimed, events_of, message

pytestmark = pytest.mark.integration


async def test_the_bytes_of_a_stream_are_exactly_what_the_contract_says(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        await worker.report(message(1, "Grüße 🚀"), message(2, "two\nlines\r\nand \u2028 \x85 more"))
        await worker.finish(response="done")
    expected = "".join(
        f"id: {event['number']}\nevent: {event['type']}\n"
        f"data: {json.dumps(event['data'], ensure_ascii=False, separators=(',', ':'))}\n\n"
        for event in await events_of(acme, worker.execution_id)
    )

    response = await acme.client.get(f"/executions/{worker.execution_id}/stream")

    assert response.content == expected.encode()
    assert response.headers["Content-Type"].startswith("text/event-stream")
    assert response.headers["Cache-Control"] == "no-store"


async def test_a_stream_tells_the_whole_story_and_ends_with_done(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        await worker.report(message(1))
        await worker.finish(response="12 o'clock")

    events = await read(acme, worker.execution_id)

    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert [event.type for event in events][-3:] == ["message", "status", "done"]
    assert events[-1].data.items() >= {"status": "completed", "response": "12 o'clock", "error": None}.items()


async def test_an_event_arrives_while_the_stream_is_open(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker, opened(acme, worker.execution_id) as response:
        reader = events_in(response)
        before = [(await anext(reader)).type for _ in await events_of(acme, worker.execution_id)]

        await worker.report(message(1, "now"))

        assert (await anext(reader)).data["content"] == "now"
        assert set(before) == {"status"}


async def test_last_event_id_resumes_after_that_event(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        await worker.report(message(1), message(2))
        await worker.finish()
    everything = await read(acme, worker.execution_id)

    rest = await read(acme, worker.execution_id, after=3)

    assert rest == everything[3:]


async def test_a_reader_who_has_read_the_end_is_not_kept_waiting(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        await worker.finish()
    last = (await read(acme, worker.execution_id))[-1].number

    assert await read(acme, worker.execution_id, after=last) == []


async def test_more_events_than_one_batch_arrive_in_order(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        await worker.report(*map(message, range(1, 501)))
        await worker.report(*map(message, range(501, 1001)))
        await worker.finish()

    events = await read(acme, worker.execution_id)

    contents = [event.data["content"] for event in events if event.type == "message"]
    assert contents == [f"message {sequence}" for sequence in range(1, 1001)]


@pytest.mark.parametrize("last_event_id", ["-1", "x", "99999999999999999999", "1.5"])
async def test_a_last_event_id_that_is_none_of_ours_is_refused(acme: Tenant, last_event_id: str) -> None:
    execution = await acme.start()

    response = await acme.client.get(f"/executions/{execution['id']}/stream", headers={"Last-Event-ID": last_event_id})

    assert response.status_code == 422


async def test_an_idle_stream_is_kept_open_by_comments(settings: Settings, orchestrator: FakeOrchestrator) -> None:
    impatient = settings.model_copy(update={"stream_keepalive": timedelta(milliseconds=50)})
    async with api_server(impatient, orchestrator) as url, create_tenant(url, "acme") as tenant:
        execution = await tenant.start()
        async with opened(tenant, execution["id"]) as response:
            comment = await anext(line async for line in response.aiter_lines() if line.startswith(":"))

    assert comment.startswith(": ping")


async def test_a_stream_ends_when_the_credential_that_opened_it_is_revoked(
    acme: Tenant, api_url: str, test_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with claimed(acme, api_url) as worker, opened(acme, worker.execution_id) as response:
        reader = events_in(response)
        await anext(reader)
        await test_database.change("UPDATE credentials SET revoked_at = now() WHERE kind = 'api_key'")
        five_seconds_later(monkeypatch)
        await worker.report(message(1, "not for revoked eyes"))

        rest = [event async for event in reader]

    assert "not for revoked eyes" not in [event.data.get("content") for event in rest]


async def test_many_readers_get_the_same_story(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        readers = [asyncio.create_task(read(acme, worker.execution_id)) for _ in range(10)]
        await worker.report(message(1), message(2))
        await worker.finish()

        stories = await asyncio.gather(*readers)

    assert stories == [stories[0]] * 10
    assert stories[0][-1].type == "done"


async def test_a_reader_who_has_just_found_nothing_new_is_told_of_an_end_at_that_very_moment(
    acme: Tenant, api_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with claimed(acme, api_url) as worker:
        reading = events.read

        async def read_and_be_overtaken(*arguments: Any, **options: Any) -> list[Event]:
            found = await reading(*arguments, **options)
            monkeypatch.setattr(events, "read", reading)
            await worker.finish()
            return found

        story = await read(acme, worker.execution_id, most=3)
        monkeypatch.setattr(events, "read", read_and_be_overtaken)

        rest = await read(acme, worker.execution_id, after=story[-1].number)

    assert rest[-1].type == "done"

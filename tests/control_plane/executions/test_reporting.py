import asyncio
import json
from typing import Any

import pytest

from tests.tenants import Tenant
from tests.worker import claimed, events_of, message

pytestmark = pytest.mark.integration


async def test_reported_events_are_stored_in_order(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        response = await worker.report(message(1), message(2), message(3))

    events = await events_of(acme, worker.execution_id)
    assert response.json() == {"sequence": 3}
    assert [event["number"] for event in events] == list(range(1, len(events) + 1))
    assert [event["data"]["content"] for event in events[-3:]] == ["message 1", "message 2", "message 3"]


async def test_the_time_of_an_event_is_when_it_occurred(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        await worker.report(message(1))

    assert (await events_of(acme, worker.execution_id))[-1]["data"]["timestamp"] == "2026-01-02T03:04:05+00:00"


async def test_a_time_without_a_zone_is_refused(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        response = await worker.report(message(1, occurred_at="2026-01-02T03:04:05"))

    assert response.status_code == 422


async def test_a_repeated_report_is_passed_over(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        await worker.report(message(1), message(2))

        response = await worker.report(message(1), message(2))

    contents = [event["data"].get("content") for event in await events_of(acme, worker.execution_id)]
    assert response.json() == {"sequence": 2}
    assert contents.count("message 1") == contents.count("message 2") == 1


async def test_a_report_that_is_held_in_part_is_completed(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        await worker.report(message(1), message(2))

        response = await worker.report(message(2), message(3))

    contents = [event["data"].get("content") for event in await events_of(acme, worker.execution_id)]
    assert response.json() == {"sequence": 3}
    assert contents[-3:] == ["message 1", "message 2", "message 3"]


@pytest.mark.parametrize("sequences", [[2], [1, 3], [2, 1], [1, 1]])
async def test_a_gap_is_refused_and_nothing_of_the_report_is_kept(
    acme: Tenant, api_url: str, sequences: list[int]
) -> None:
    async with claimed(acme, api_url) as worker:
        response = await worker.report(*map(message, sequences))

    assert response.status_code == 409
    assert response.json()["code"] == "events_missing"
    assert {event["type"] for event in await events_of(acme, worker.execution_id)} == {"status"}


@pytest.mark.parametrize("kind", ["status", "done"])
async def test_a_worker_can_not_write_what_the_server_decides(acme: Tenant, api_url: str, kind: str) -> None:
    async with claimed(acme, api_url) as worker:
        response = await worker.report(message(1), message(2, type=kind))

    assert response.status_code == 422
    assert {event["type"] for event in await events_of(acme, worker.execution_id)} == {"status"}


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ("a\x00b", "a\ufffdb"),
        ("a\udc80b", "a?b"),
        (["a\x00", {"b\x00": "\ud800"}], ["a\ufffd", {"b\ufffd": "?"}]),
    ],
)
async def test_what_postgresql_can_not_store_is_mended_in_a_report(
    acme: Tenant, api_url: str, found: Any, kept: Any
) -> None:
    async with claimed(acme, api_url) as worker:
        body = _ascii_json({"fence": 1, "events": [message(1, found)]})
        response = await worker.http.post(
            f"{worker.path}/events", content=body, headers={"Content-Type": "application/json"}
        )

    assert response.status_code == 200
    assert (await events_of(acme, worker.execution_id))[-1]["data"]["content"] == kept


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_a_number_that_json_does_not_have_becomes_null(acme: Tenant, api_url: str, number: str) -> None:
    async with claimed(acme, api_url) as worker:
        body = _ascii_json({"fence": 1, "events": [message(1, "HERE")]}).replace(b'"HERE"', number.encode())
        response = await worker.http.post(
            f"{worker.path}/events", content=body, headers={"Content-Type": "application/json"}
        )

    assert response.status_code == 200
    assert (await events_of(acme, worker.execution_id))[-1]["data"]["content"] is None


async def test_numbers_are_gap_free_when_many_write_at_once(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        batch = [message(sequence) for sequence in range(1, 101)]
        reports = [worker.report(*batch[:length]) for length in range(10, 101, 10)]
        cancellation = acme.client.delete(f"/executions/{worker.execution_id}")

        await asyncio.gather(*reports, cancellation, worker.renew())

        await worker.finish(status="cancelled")

    events = await events_of(acme, worker.execution_id)
    contents = [event["data"]["content"] for event in events if event["type"] == "message"]
    assert [event["number"] for event in events] == list(range(1, len(events) + 1))
    assert contents == [f"message {sequence}" for sequence in range(1, 101)]
    assert events[-1]["type"] == "done"


async def test_events_are_read_from_any_number_on(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as worker:
        await worker.report(*(message(sequence) for sequence in range(1, 11)))

    response = await acme.client.get(f"/executions/{worker.execution_id}/events", params={"after": 5, "limit": 3})

    assert [event["number"] for event in response.json()] == [6, 7, 8]


def _ascii_json(value: Any) -> bytes:
    return json.dumps(value).encode()

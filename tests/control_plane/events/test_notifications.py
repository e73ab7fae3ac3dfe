import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import psycopg
import pytest

from control_plane.events import service as events
from control_plane.events.notifications import Notifications
from tests.conftest import TestDatabase
from tests.streams import read
from tests.tenants import Tenant

pytestmark = pytest.mark.integration

LISTENERS = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'"


@pytest.fixture
async def notifications(test_database: TestDatabase) -> AsyncIterator[Notifications]:
    listening = Notifications(test_database.url)
    yield listening
    await listening.stop()


async def woken(wake: asyncio.Event) -> None:
    """Return when the subscriber is woken, long before it would look by itself."""
    async with asyncio.timeout(4):
        await wake.wait()
    wake.clear()


def notify(test_database: TestDatabase, execution_id: UUID) -> None:
    with psycopg.connect(test_database.url) as connection:
        connection.execute("SELECT pg_notify(%s, %s)", [events.CHANNEL, str(execution_id)])


async def test_a_subscriber_is_woken_by_a_notification(
    notifications: Notifications, test_database: TestDatabase
) -> None:
    execution_id = uuid4()
    with notifications.subscribe(execution_id) as wake:
        await notifications.start()
        await woken(wake)

        notify(test_database, execution_id)

        await woken(wake)


async def test_only_those_who_follow_the_execution_are_woken(
    notifications: Notifications, test_database: TestDatabase
) -> None:
    execution_id = uuid4()
    with notifications.subscribe(execution_id) as wake, notifications.subscribe(uuid4()) as other:
        await notifications.start()
        await woken(wake)
        await woken(other)

        notify(test_database, execution_id)
        await woken(wake)

        assert not other.is_set()


async def test_notifications_go_on_after_their_connection_was_terminated(
    notifications: Notifications, test_database: TestDatabase
) -> None:
    execution_id = uuid4()
    with notifications.subscribe(execution_id) as wake:
        await notifications.start()
        await woken(wake)

        with psycopg.connect(test_database.superuser_url) as connection:
            terminated = connection.execute(f"SELECT pg_terminate_backend(pid) {LISTENERS}").fetchall()
        await woken(wake)
        notify(test_database, execution_id)
        await woken(wake)

    assert terminated == [(True,)]


async def test_the_end_of_a_subscription_leaves_nothing_behind(notifications: Notifications) -> None:
    execution_id = uuid4()

    with notifications.subscribe(execution_id), notifications.subscribe(execution_id):
        assert len(notifications._subscribers[str(execution_id)]) == 2

    assert notifications._subscribers == {}


async def test_a_reader_that_goes_away_leaves_no_subscription_behind(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = asyncio.Event()
    remaining: list[int] = []
    subscribe = Notifications.subscribe

    @contextmanager
    def observed(self: Notifications, execution_id: UUID) -> Iterator[asyncio.Event]:
        try:
            with subscribe(self, execution_id) as wake:
                yield wake
        finally:
            remaining.append(len(self._subscribers))
            left.set()

    monkeypatch.setattr(Notifications, "subscribe", observed)
    execution = await acme.start()

    await read(acme, execution["id"], most=1)

    async with asyncio.timeout(10):
        await left.wait()
    assert remaining == [0]

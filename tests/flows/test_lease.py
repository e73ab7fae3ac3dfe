import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import pytest

from control_plane.wire.executions import Claim
from flows.lease import Lease, LeaseLost
from tests.flows.landlord import RENEWED, Landlord, landlord_serving

pytestmark = pytest.mark.integration

LENGTH = 4.0
EVERY = LENGTH / 6


@pytest.fixture
def landlord() -> Iterator[Landlord]:
    with landlord_serving() as serving:
        yield serving


class Tenant:
    """A lease, and what its holder was told about it."""

    def __init__(self, landlord: Landlord, *, asked: float = 0.0, lease_seconds: float | None = LENGTH) -> None:
        claim = Claim(
            execution_id=UUID(int=1),
            execution_token="t",
            fence=1,
            lease_expires_at=datetime(2001, 1, 1, tzinfo=UTC),
            renew_every_seconds=EVERY,
            lease_seconds=lease_seconds,
        )
        self.told: list[str] = []
        self.lost = asyncio.Event()
        self.asked_to_stop = asyncio.Event()
        self.began = time.monotonic()
        self.lease = Lease(
            landlord.url, claim, confirmed_at=self.began - asked, on_lost=self._lose, on_cancel=self._stop
        )

    def _lose(self) -> None:
        self.told.append("lost")
        self.lost.set()

    def _stop(self) -> None:
        self.told.append("stop")
        self.asked_to_stop.set()


async def test_a_lease_holds_while_a_tool_blocks_the_event_loop(landlord: Landlord) -> None:
    tenant = Tenant(landlord)

    async with tenant.lease:
        landlord.wait(renewals=8)
        blocked = time.monotonic() - tenant.began
        tenant.lease.check()

    assert blocked > LENGTH
    assert tenant.told == []


@pytest.mark.parametrize("lease_seconds", [LENGTH, None])
async def test_a_lease_that_nobody_renews_is_lost_before_its_end(
    landlord: Landlord, lease_seconds: float | None
) -> None:
    landlord.silent = True
    tenant = Tenant(landlord, lease_seconds=lease_seconds)

    async with asyncio.timeout(20), tenant.lease:
        await tenant.lost.wait()
        passed = time.monotonic() - tenant.began
        with pytest.raises(LeaseLost):
            tenant.lease.check()

    assert LENGTH - 2 * EVERY < passed < LENGTH
    assert landlord.renewals.qsize() >= 3
    assert tenant.told == ["lost"]


async def test_a_lease_counts_from_when_it_was_asked_for(landlord: Landlord) -> None:
    tenant = Tenant(landlord, asked=LENGTH)

    async with asyncio.timeout(20), tenant.lease:
        with pytest.raises(LeaseLost):
            tenant.lease.check()
        await tenant.lost.wait()

    assert landlord.renewals.qsize() == 0


async def test_a_refused_renewal_loses_the_lease_at_once(landlord: Landlord) -> None:
    landlord.status = 409
    landlord.answer = {"code": "lease_lost", "detail": "It is over."}
    tenant = Tenant(landlord)

    async with asyncio.timeout(20), tenant.lease:
        await tenant.lost.wait()
        passed = time.monotonic() - tenant.began

    assert passed < LENGTH - EVERY
    assert tenant.told == ["lost"]


async def test_a_fault_of_the_server_says_nothing_about_the_lease(landlord: Landlord) -> None:
    landlord.status = 500
    tenant = Tenant(landlord)

    async with tenant.lease:
        landlord.wait(renewals=2)
        landlord.status = 200
        landlord.wait(renewals=8)
        tenant.lease.check()

    assert tenant.told == []


async def test_a_wish_to_cancel_is_told_once(landlord: Landlord) -> None:
    landlord.answer = RENEWED | {"cancel_requested": True}
    tenant = Tenant(landlord)

    async with asyncio.timeout(20), tenant.lease:
        await tenant.asked_to_stop.wait()
        landlord.wait(renewals=3)
        await asyncio.wait_for(asyncio.shield(asyncio.to_thread(landlord.wait, 1)), 20)

    assert tenant.told == ["stop"]
    assert tenant.lease.cancel_requested


async def test_a_renewal_says_how_long_the_lease_holds_now(landlord: Landlord) -> None:
    landlord.answer = RENEWED | {"lease_seconds": 60.0}
    tenant = Tenant(landlord)

    async with tenant.lease:
        landlord.wait(renewals=2)
        landlord.silent = True
        await asyncio.wait([asyncio.create_task(tenant.lost.wait())], timeout=LENGTH)
        tenant.lease.check()

    assert tenant.told == []


async def test_leaving_ends_the_thread_also_while_a_renewal_is_under_way(landlord: Landlord) -> None:
    landlord.silent = True
    tenant = Tenant(landlord)

    async with tenant.lease:
        landlord.wait(renewals=1)
    left = time.monotonic()
    tenant.lease._thread.join(20)

    assert time.monotonic() - left < EVERY
    assert [thread.name for thread in threading.enumerate() if thread.name == "lease"] == []

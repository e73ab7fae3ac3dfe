"""The promise about interruptions: whoever comes back with `Last-Event-ID` misses nothing and hears nothing twice."""

import asyncio
from contextlib import AsyncExitStack
from uuid import UUID

import httpx
import pytest

from control_plane.client import WorkerClient
from control_plane.settings import Settings
from control_plane.wire.executions import EventReport, FinalStatus, Finish, ReportedEvent
from tests.orchestrator import FakeOrchestrator
from tests.serving import api_server
from tests.streams import StreamedEvent, events_in, opened
from tests.tenants import Tenant, create_tenant
from tests.worker import message

pytestmark = pytest.mark.integration

MESSAGES = 200
# At how many events the reader breaks off, each time: 20 interruptions, from after one event to after many.
DROPS = (1, 1, 2, 9, 3, 14, 1, 5, 8, 2, 17, 4, 6, 1, 11, 3, 7, 12, 2, 10)


class Server:
    """An API server that comes back on the same port."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._port = 0

    async def start(self) -> str:
        url = await self._stack.enter_async_context(api_server(self._settings, FakeOrchestrator(), port=self._port))
        self._port = int(url.rsplit(":", 1)[1])
        return url

    async def stop(self) -> None:
        await self._stack.aclose()

    async def restart(self) -> None:
        await self.stop()
        await self.start()


class Reader:
    """Follows one execution, and says after each event that the worker may go on."""

    def __init__(self, tenant: Tenant, execution_id: str) -> None:
        self._tenant = tenant
        self._execution_id = execution_id
        self.events: list[StreamedEvent] = []
        self.interruptions = 0
        self.worker_may_go_on = asyncio.Semaphore(10)

    async def read_until_dropped(self, count: int | None) -> None:
        """Read `count` events, or to the end, and drop the connection there and then."""
        wanted = None if count is None else len(self.events) + count
        after = self.events[-1].number if self.events else 0
        async with opened(self._tenant, self._execution_id, after=after) as response:
            async for event in events_in(response):
                self.events.append(event)
                self.worker_may_go_on.release()
                if len(self.events) == wanted:
                    self.interruptions += 1
                    return

    async def read_until_the_server_goes(self, server: Server) -> None:
        """Be in the middle of the stream while the server restarts."""
        after = self.events[-1].number
        async with opened(self._tenant, self._execution_id, after=after) as response:
            restarting = asyncio.create_task(server.restart())
            try:
                async for event in events_in(response):
                    self.events.append(event)
                    self.worker_may_go_on.release()
            except httpx.TransportError:
                pass
            self.interruptions += 1
            await restarting


async def work(url: str, claim: dict[str, str], fence: int, may_go_on: asyncio.Semaphore) -> None:
    """Report message by message through the real client, never more than a few ahead of the reader."""
    execution_id = UUID(claim["execution_id"])
    async with WorkerClient(url, claim["execution_token"]) as client:
        for sequence in range(1, MESSAGES + 1):
            await may_go_on.acquire()
            event = ReportedEvent.model_validate(message(sequence))
            await client.report(execution_id, EventReport(fence=fence, events=[event]))
        await client.finish(execution_id, Finish(fence=fence, status=FinalStatus.COMPLETED, response="told"))


async def follow_with_interruptions(reader: Reader, server: Server) -> None:
    """Drop the connection at 20 places; restart the server twice between connections and twice within one."""
    for turn, count in enumerate(DROPS):
        await reader.read_until_dropped(count)
        if turn in {4, 11}:
            await server.restart()
        if turn in {7, 15}:
            await reader.read_until_the_server_goes(server)
    await reader.read_until_dropped(None)


async def test_every_event_arrives_exactly_once_and_in_order_over_24_interruptions(settings: Settings) -> None:
    server = Server(settings)
    url = await server.start()
    async with create_tenant(url, "acme") as tenant:
        execution = await tenant.start()
        claim = await tenant.claim(execution["id"])
        reader = Reader(tenant, execution["id"])

        await asyncio.gather(
            follow_with_interruptions(reader, server),
            work(url, claim, claim["fence"], reader.worker_may_go_on),
        )

    await server.stop()
    contents = [event.data["content"] for event in reader.events if event.type == "message"]
    assert [event.number for event in reader.events] == list(range(1, len(reader.events) + 1))
    assert contents == [f"message {sequence}" for sequence in range(1, MESSAGES + 1)]
    assert reader.events[-1].type == "done"
    assert reader.events[-1].data["response"] == "told"
    assert reader.interruptions == len(DROPS) + 2

"""The control plane's side of a lease, in a thread of its own: it answers also while the test's event loop doesn't."""

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from anyio.from_thread import start_blocking_portal
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.serving import serving

RENEWED = {"lease_expires_at": "2001-01-01T00:00:00Z", "cancel_requested": False}
"""The clock of this server is decades late."""


class Landlord:
    """Answers renewals with `answer` and `status`, or not at all if it is `silent`. Each is put into `renewals`."""

    def __init__(self) -> None:
        self.url = ""
        self.answer: dict[str, Any] = RENEWED
        self.status = 200
        self.silent = False
        self.renewals: queue.Queue[float] = queue.Queue()
        self.app = Starlette(routes=[Route("/api/v1/worker/executions/{id}/lease", self._renew, methods=["POST"])])

    def wait(self, renewals: int) -> None:
        """Block the calling thread until that many more renewals have come."""
        for _ in range(renewals):
            self.renewals.get(timeout=20)

    async def _renew(self, request: Request) -> Response:
        self.renewals.put(0)
        if self.silent:
            await self._abandoned(request)
        media_type = "application/problem+json" if self.status >= 400 else None
        return JSONResponse(self.answer, self.status, media_type=media_type)

    @staticmethod
    async def _abandoned(request: Request) -> None:
        """Whoever asked gave up."""
        await request.body()
        await request.receive()


@contextmanager
def landlord_serving() -> Iterator[Landlord]:
    """Serve one."""
    landlord = Landlord()
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serving(landlord.app, lifespan=False)) as landlord.url,
    ):
        yield landlord

"""What of Prefect's API a task needs outside of a flow run, writing down everything that reaches it.

That is one question for the version. State changes leave as events, which Prefect's own client for tests keeps.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import prefect
from prefect.events.clients import AssertingEventsClient
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogHandler
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW,
    temporary_settings,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.serving import serving


class PrefectApi:
    """Everything that reached Prefect: bodies of requests, and events as JSON."""

    def __init__(self, home: Path) -> None:
        self.url = ""
        self.home = home
        self.requests: list[str] = []
        self.app = Starlette(
            routes=[
                Route("/api/admin/version", self._version),
                Route("/api/logs/", self._taken, methods=["POST"]),
                Route("/{path:path}", self._unknown, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
            ]
        )

    @property
    def events(self) -> list[tuple[str, str]]:
        """Each state change: the name of the task and of the state."""
        return [
            (event.resource["prefect.resource.name"], event.event.removeprefix("prefect.task-run."))
            for client in AssertingEventsClient.all
            for event in client.events
        ]

    def everything(self) -> str:
        """All that Prefect knows now, in its API and on this machine."""
        events = [event.model_dump_json() for client in AssertingEventsClient.all for event in client.events]
        files = [path.read_text(errors="replace") for path in self.home.rglob("*") if path.is_file()]
        return "\n".join([*self.requests, *events, *files])

    @asynccontextmanager
    async def used(self) -> AsyncIterator[None]:
        """Let Prefect use this API; at the end everything has arrived."""
        settings = {
            PREFECT_API_URL: f"{self.url}/api",
            PREFECT_HOME: self.home,
            PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore",
        }
        with temporary_settings(settings):
            try:
                yield
            finally:
                drained: Any = EventsWorker.drain_all()
                await drained
                await APILogHandler.aflush()

    async def _version(self, _request: Request) -> Response:
        return JSONResponse(prefect.__version__)

    async def _taken(self, request: Request) -> Response:
        self.requests.append((await request.body()).decode())
        return Response(status_code=201)

    async def _unknown(self, request: Request) -> Response:
        self.requests.append(f"{request.method} {request.url} {(await request.body()).decode()}")
        return JSONResponse({}, status_code=404)


@asynccontextmanager
async def prefect_api(home: Path) -> AsyncIterator[PrefectApi]:
    """Serve it. Nothing but what happens meanwhile is in it."""
    EventsWorker.set_client_override(AssertingEventsClient)
    AssertingEventsClient.reset()
    api = PrefectApi(home)
    try:
        async with serving(api.app, lifespan=False) as api.url:
            yield api
    finally:
        EventsWorker.set_client_override(None)

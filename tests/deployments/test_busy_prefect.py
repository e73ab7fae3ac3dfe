"""A Prefect server that would have us come again."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from deployments.orchestrator import OrchestratorUnavailable, RunState
from deployments.prefect_orchestrator import PrefectOrchestrator
from tests.serving import serving

pytestmark = pytest.mark.integration


class Answering:
    """Answers with one status after the other, and with the last one from then on."""

    def __init__(self, statuses: Sequence[int]) -> None:
        self.asked = 0
        self._statuses = statuses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = self._statuses[min(self.asked, len(self._statuses) - 1)]
        self.asked += 1
        await Response(status_code=status)(scope, receive, send)


@asynccontextmanager
async def orchestrating(server: Answering) -> AsyncIterator[PrefectOrchestrator]:
    async with serving(server, lifespan=False) as url:
        orchestrator = PrefectOrchestrator(api_url=url, ui_url=url, auth_string=None)
        yield orchestrator
        await orchestrator.aclose()


@pytest.fixture
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefect's client may not sleep: it would do so for two seconds, also where it tries no more."""

    async def sleep(seconds: float) -> None:
        raise AssertionError(f"Prefect's client sleeps for {seconds} s")

    monkeypatch.setattr("prefect.client.base.anyio.sleep", sleep)


@pytest.mark.usefixtures("_hurried")
async def test_a_busy_server_is_asked_again_at_once() -> None:
    server = Answering([503, 503, 404])

    async with orchestrating(server) as orchestrator:
        status = await orchestrator.status(uuid4())

    assert status.state is RunState.MISSING
    assert server.asked == 3


@pytest.mark.usefixtures("_hurried")
@pytest.mark.parametrize("status", [408, 429, 502, 503])
async def test_one_that_stays_so_is_left_for_later(status: int) -> None:
    server = Answering([status])

    async with orchestrating(server) as orchestrator:
        with pytest.raises(OrchestratorUnavailable, match=str(status)):
            await orchestrator.status(uuid4())

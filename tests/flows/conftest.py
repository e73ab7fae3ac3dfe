from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from control_plane.settings import Settings
from control_plane.wire.decisions import Decision
from tests.flows import bench
from tests.flows.bench import Judge
from tests.flows.plans import Story
from tests.flows.prefect_api import PrefectApi, prefect_api
from tests.flows.stage import Stage, stage
from tests.flows.workshop import ALLOWED, Open, Workshop
from tests.tenants import Tenant


@pytest.fixture
async def prefect(tmp_path: Path) -> AsyncIterator[PrefectApi]:
    """What tasks report to."""
    async with prefect_api(tmp_path / "prefect") as api:
        yield api


@pytest.fixture
def story() -> Story:
    """What is told while the agent runs."""
    return Story()


@pytest.fixture
def workshop(prefect: PrefectApi, story: Story) -> Open:
    """See `Open`. What happens in it is told to `story`."""

    def opened(decision: Decision | Exception | Judge = ALLOWED, **changes: Any) -> Workshop:
        return Workshop(decision if isinstance(decision, Judge) else Judge(decision), story, prefect, **changes)

    return opened


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """As everywhere, with a short lease."""
    return settings.model_copy(update={"lease": timedelta(seconds=6)})


@pytest.fixture
async def on(acme: Tenant, prefect: PrefectApi, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """An execution that waits for its flow to be run."""
    return await stage(acme, prefect, monkeypatch)


@pytest.fixture(autouse=True)
def _clean_bench() -> None:
    bench.ran.clear()
    bench.contexts.clear()
    bench.opened.clear()
    bench.released.clear()

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from control_plane.wire.decisions import Decision
from tests.flows import bench
from tests.flows.bench import Judge
from tests.flows.plans import Story
from tests.flows.prefect_api import PrefectApi, prefect_api
from tests.flows.workshop import ALLOWED, Open, Workshop


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


@pytest.fixture(autouse=True)
def _clean_bench() -> None:
    bench.ran.clear()
    bench.contexts.clear()
    bench.released.clear()

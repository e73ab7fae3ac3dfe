from collections.abc import AsyncIterator

import pytest

from tests.workpools.workshop import Workshop, worker_environment
from workpools.children import Children, environment
from workpools.settings import WorkerSettings


@pytest.fixture
async def workshop(capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Workshop]:
    """Children of the probe, two of them ready."""
    settings = WorkerSettings(pass_environment=("KUBECONFIG",))
    given = environment(worker_environment(KUBECONFIG="/etc/cluster"), settings)
    async with Children("tests.workpools.probe", ready=2, environment=given) as children:
        yield Workshop(children, capsys)

"""What all tests of workers use."""

from typing import Any

import pytest

from tests.tenants import Tenant, created


@pytest.fixture
def pool(acme: Tenant) -> str:
    """The place that a worker joins by the name of its work pool."""
    return f"work-pools/{acme.environment['work_pool']}"


@pytest.fixture
async def urgent(acme: Tenant) -> dict[str, Any]:
    """Another queue of the environment."""
    return await created(acme.client, f"/environments/{acme.environment['id']}/worker-queues", {"name": "urgent"})

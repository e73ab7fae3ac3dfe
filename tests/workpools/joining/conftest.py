"""What a worker's process finds around it."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from workpools import joining

SETTINGS = ("CONTROL_PLANE_URL", "CONTROL_PLANE_API_KEY", "PREFECT_API_AUTH_STRING", "PREFECT_CLIENT_CUSTOM_HEADERS")


@pytest.fixture
async def around(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[pytest.MonkeyPatch]:
    """The environment of a process; what joining changes in it is undone, and who has joined leaves."""
    for name in SETTINGS:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    before = len(joining._memberships)
    yield monkeypatch
    for membership in joining._memberships[before:]:
        await asyncio.to_thread(membership.leave)  # it blocks, and the server may be in this very loop
    del joining._memberships[before:]
    for name in SETTINGS:
        os.environ.pop(name, None)

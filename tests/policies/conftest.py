from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from policies.regorus_engine import RegorusEngine

PATIENT = timedelta(seconds=20)
"""So long that only what never ends meets it, however busy the machine is."""


@pytest.fixture
async def engine() -> AsyncIterator[RegorusEngine]:
    """A running engine that doesn't hurry."""
    async with RegorusEngine(deadline=PATIENT) as running:
        yield running


@pytest.fixture
async def hurried() -> AsyncIterator[RegorusEngine]:
    """A running engine with the deadline of production."""
    async with RegorusEngine() as running:
        yield running

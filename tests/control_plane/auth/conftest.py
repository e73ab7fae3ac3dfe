from collections.abc import AsyncIterator

import httpx
import pytest

from control_plane.auth.oidc import Tokens
from control_plane.auth.oidc_keys import ProviderKeys
from tests.control_plane.auth.browser import Browser, opened_browser
from tests.control_plane.auth.provider import Provider, running_provider


class Clock:
    """A monotonic clock that goes on only when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    """A provider over real HTTP."""
    async with running_provider() as started:
        yield started


@pytest.fixture
def clock() -> Clock:
    """The clock by which keys grow old."""
    return Clock()


@pytest.fixture
async def keys(provider: Provider, clock: Clock) -> AsyncIterator[ProviderKeys]:
    """What knows the provider's keys."""
    async with httpx.AsyncClient(timeout=5, trust_env=False) as http:
        yield ProviderKeys(provider.url, http, clock=clock)


@pytest.fixture
def tokens(provider: Provider, keys: ProviderKeys) -> Tokens:
    """What verifies the provider's tokens."""
    return Tokens([provider.trusted(keys)])


@pytest.fixture
async def browser(api_url: str) -> AsyncIterator[Browser]:
    """Ada's browser."""
    async with opened_browser(api_url) as started:
        yield started

"""The provider as a fixture: one server for the session, an empty script for each test."""

from collections.abc import AsyncIterator

import pytest

from tests.provider.server import Provider
from tests.serving import serving


@pytest.fixture(scope="session")
async def provider_server() -> AsyncIterator[Provider]:
    """The server that `provider` gives to each test anew."""
    provider = Provider()
    async with serving(provider.app, lifespan=False) as url:
        provider.url = url
        yield provider


@pytest.fixture
def provider(provider_server: Provider) -> Provider:
    """A provider of models that has nothing to say yet: `provider.will(says("Hello"))`."""
    provider_server.reset()
    return provider_server

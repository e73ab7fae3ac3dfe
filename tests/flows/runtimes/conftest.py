from collections.abc import AsyncIterator

import pytest

from flows.runtimes.protocol import ModelEndpoint
from tests.flows.runtimes.provider import Provider
from tests.serving import serving


@pytest.fixture
def provider() -> Provider:
    """The model. Write down its turns before the run."""
    return Provider()


@pytest.fixture
async def endpoint(provider: Provider) -> AsyncIterator[ModelEndpoint]:
    """Where the model is reached."""
    async with serving(provider.app, lifespan=False) as url:
        yield ModelEndpoint(openai_url=f"{url}/v1", token="execution-token")

"""The LLM gateway over real HTTP, a real upstream that speaks OpenAI's protocol, and the openai SDK between them."""

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from openai import AsyncOpenAI

from control_plane import problems
from control_plane.llm import connections, loading
from control_plane.llm.anthropic_router import router as messages
from control_plane.llm.router import router
from control_plane.llm.server_directory import ServerDirectory
from tests.control_plane.llm.unmetered import Unmetered
from tests.control_plane.llm.upstream import UPSTREAM_KEY, Tokens, Upstream
from tests.serving import serving


@pytest.fixture(scope="session")
async def gateway_url() -> AsyncIterator[str]:
    """The address of the API, with nothing in it but the gateway."""
    # Here and to the end, so that the seconds it takes count against no test.
    await asyncio.to_thread(loading.loaded)
    app = FastAPI()
    app.state.authenticator = Tokens()
    app.state.metering = Unmetered()
    problems.install(app)
    api = APIRouter(prefix="/api/v1")
    api.include_router(router)
    api.include_router(messages)
    app.include_router(api)
    opened = connections.opened(ServerDirectory(), app.state.metering, private_allowed=False)
    async with opened as app.state.model_gateway, serving(app, lifespan=False) as url:
        yield f"{url}/api/v1/llm/openai/v1"


@pytest.fixture
async def sdk(gateway_url: str) -> AsyncIterator[Callable[[str], AsyncOpenAI]]:
    """Make a client of the openai SDK for a token."""
    clients: list[AsyncOpenAI] = []

    def client(token: str) -> AsyncOpenAI:
        clients.append(AsyncOpenAI(base_url=gateway_url, api_key=token, max_retries=0))
        return clients[-1]

    yield client
    for used in clients:
        await used.close()


@pytest.fixture(scope="session")
async def _upstream() -> AsyncIterator[tuple[Upstream, str]]:
    upstream = Upstream()
    async with serving(upstream.app, lifespan=False) as url:
        yield upstream, f"{url}/v1"


@pytest.fixture
def upstream(_upstream: tuple[Upstream, str], monkeypatch: pytest.MonkeyPatch) -> Upstream:
    """The provider that models called `openai/…` are asked from."""
    provider, url = _upstream
    provider.reset()
    monkeypatch.setenv("OPENAI_API_KEY", UPSTREAM_KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    return provider


@pytest.fixture
async def http(gateway_url: str) -> AsyncIterator[Callable[[str], httpx.AsyncClient]]:
    """Make a plain HTTP client of the gateway for a token."""
    clients: list[httpx.AsyncClient] = []

    def client(token: str) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"}
        clients.append(httpx.AsyncClient(base_url=gateway_url, headers=headers, timeout=30, trust_env=False))
        return clients[-1]

    yield client
    for used in clients:
        await used.aclose()


@pytest.fixture
def anthropic_url(gateway_url: str) -> str:
    """The address of the gateway in Anthropic's dialect."""
    return gateway_url.replace("/openai/", "/anthropic/")


@pytest.fixture
async def anthropic(anthropic_url: str) -> AsyncIterator[Callable[[str], httpx.AsyncClient]]:
    """Make a plain HTTP client of the Anthropic dialect for a token."""
    clients: list[httpx.AsyncClient] = []

    def client(token: str) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"}
        clients.append(httpx.AsyncClient(base_url=anthropic_url, headers=headers, timeout=30, trust_env=False))
        return clients[-1]

    yield client
    for used in clients:
        await used.aclose()

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI

from control_plane import problems
from control_plane.llm import anthropic_router, connections, loading, router
from control_plane.llm.server_directory import ServerDirectory
from flows.runtimes.protocol import ModelEndpoint
from tests.control_plane.llm.unmetered import Unmetered
from tests.control_plane.llm.upstream import Tokens
from tests.flows.plans import Story
from tests.flows.runtimes.talk import MODEL, Lamp, Talk, endpoint_of
from tests.provider.server import KEY, Provider
from tests.serving import serving


@pytest.fixture(params=["agno", "claude_code", "openai"])
def agent_type(request: pytest.FixtureRequest) -> str:
    """Each of the runtimes."""
    name: str = request.param
    return name


@pytest.fixture
def lamp() -> Lamp:
    """A tool."""
    return Lamp()


@pytest.fixture(scope="session")
async def gateway_url() -> AsyncIterator[str]:
    """The LLM gateway over real HTTP; the text of a token is the model that it opens."""
    # Here and to the end, so that the seconds it takes count against no test.
    await asyncio.to_thread(loading.loaded)
    app = FastAPI()
    app.state.authenticator = Tokens()
    app.state.metering = Unmetered()
    problems.install(app)
    api = APIRouter(prefix="/api/v1")
    api.include_router(router.router)
    api.include_router(anthropic_router.router)
    app.include_router(api)
    opened = connections.opened(ServerDirectory(), app.state.metering, private_allowed=False)
    async with opened as app.state.model_gateway, serving(app, lifespan=False) as url:
        yield f"{url}/api/v1/llm"


@pytest.fixture
def endpoint(gateway_url: str, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> ModelEndpoint:
    """Where the model is reached: the gateway, which asks the provider."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", provider.anthropic_url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", provider.openai_url)
    return endpoint_of(gateway_url, MODEL.name)


@pytest.fixture
def talk(agent_type: str, endpoint: ModelEndpoint, story: Story, lamp: Lamp, tmp_path: Path) -> Talk:
    """A conversation with an agent whose one tool is the lamp. What happens is told to `story`."""
    return Talk(agent_type, endpoint=endpoint, story=story, lamp=lamp, folder=tmp_path)

"""`LITELLM_API_URL`: an external LiteLLM proxy answers, in each dialect as it is."""

from typing import Any
from uuid import uuid4

import pytest

from control_plane.auth.principals import ExecutionPrincipal
from control_plane.llm import connections
from control_plane.llm.dialects import CHAT_COMPLETIONS, MESSAGES, RESPONSES, Dialect
from control_plane.llm.errors import ModelError
from control_plane.llm.gateway import Call
from control_plane.llm.server_directory import ServerDirectory
from control_plane.settings import Settings
from tests.control_plane.llm.unmetered import Unmetered
from tests.provider.server import KEY, Provider
from tests.provider.turns import fails, says

pytestmark = pytest.mark.integration

MESSAGE: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def directory(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> ServerDirectory:
    """A server that was told of the tests' provider as its proxy."""
    monkeypatch.setenv("LITELLM_API_URL", provider.url)
    monkeypatch.setenv("LITELLM_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-server-0123456789")
    provider.accept_only(KEY)
    return ServerDirectory.of(Settings(database_url="postgresql://x", secret_key="x" * 32))


@pytest.mark.parametrize(
    ("dialect", "request_"),
    [
        (CHAT_COMPLETIONS, {"messages": MESSAGE}),
        (RESPONSES, {"input": "Hello"}),
        (MESSAGES, {"messages": MESSAGE, "max_tokens": 9}),
    ],
)
@pytest.mark.parametrize(
    ("model", "asked"), [("openai/gpt-tests", "openai/gpt-tests"), ("litellm_proxy/house-model", "house-model")]
)
async def test_the_proxy_is_asked_in_the_dialect_of_the_caller_under_its_own_names(
    directory: ServerDirectory, provider: Provider, dialect: Dialect, request_: Any, model: str, asked: str
) -> None:
    provider.will(says("Hello."))

    answer = await _completed(directory, dialect, request_, model=model)

    assert b"Hello." in answer
    assert [(one.dialect, one.body["model"], one.key) for one in provider.requests] == [(dialect.name, asked, KEY)]


async def test_the_scripted_models_are_never_asked_elsewhere(directory: ServerDirectory, provider: Provider) -> None:
    answer = await _completed(directory, CHAT_COMPLETIONS, {"messages": MESSAGE}, model="scripted/assistant")

    assert b"scripted model" in answer
    assert provider.requests == []


async def test_a_refused_key_names_the_variable(directory: ServerDirectory, provider: Provider) -> None:
    provider.will(fails("key"))

    with pytest.raises(ModelError, match="LITELLM_API_KEY") as refused:
        await _completed(directory, CHAT_COMPLETIONS, {"messages": MESSAGE}, model="openai/gpt-tests")

    assert refused.value.code == "provider_key_missing"


async def _completed(directory: ServerDirectory, dialect: Dialect, request: Any, *, model: str) -> bytes:
    caller = ExecutionPrincipal(uuid4(), uuid4(), 1, model=model)
    unmetered: Any = Unmetered()
    async with connections.opened(directory, unmetered, private_allowed=False) as gateway:
        return await gateway.complete(Call(caller, dialect, request))

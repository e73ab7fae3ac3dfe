from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.serving import serving
from tests.toolsets.builtin.github.api_server import TOKEN, GitHub
from toolsets.builtin.github import github
from toolsets.testing import call


@dataclass(frozen=True, slots=True)
class Hub:
    """A GitHub and `call`: a tool's short name, its arguments, `settings` and `secrets`."""

    server: GitHub
    call: Callable[..., Awaitable[Any]]


@pytest.fixture(scope="session")
async def listening() -> AsyncIterator[tuple[GitHub, str]]:
    server = GitHub()
    async with serving(server, lifespan=False) as url:
        yield server, url


@pytest.fixture
def hub(listening: tuple[GitHub, str]) -> Hub:
    server, url = listening
    server.__init__()  # type: ignore[misc] # everything as it was at first

    async def called(
        tool: str, *, settings: dict[str, Any] | None = None, secrets: dict[str, str] | None = None, **arguments: Any
    ) -> Any:
        here = {"base_url": url, "allowed_networks": ["127.0.0.0/8"]}
        return await call(
            github,
            tool,
            settings=here | (settings or {}),
            secrets=secrets or {"github_token": TOKEN},
            repository=arguments.pop("repository", "acme/shop"),
            **arguments,
        )

    return Hub(server, called)

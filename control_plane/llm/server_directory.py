"""Models that whoever runs this server has keys for: in its environment, or at an external LiteLLM proxy."""

from typing import Self

from pydantic import SecretStr

from control_plane.auth.principals import ExecutionPrincipal
from control_plane.llm.gateway import Route
from control_plane.llm.targets import SCRIPTED, Target, of_the_proxy, of_the_server
from control_plane.settings import Settings


class ServerDirectory:
    """Knows the server's models, which are the same for all organizations."""

    def __init__(self, *, proxy_url: str | None = None, proxy_key: SecretStr | None = None) -> None:
        self._proxy_url = proxy_url
        self._proxy_key = proxy_key

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the settings say."""
        url = settings.litellm_api_url
        return cls(proxy_url=str(url) if url else None, proxy_key=settings.litellm_api_key)

    async def route(self, caller: ExecutionPrincipal) -> Route:
        """Where the model is that the caller may call."""
        return Route([self.target(caller.model)])

    def target(self, name: str) -> Target:
        """Where `provider/model` is. The built-in models are always here."""
        if self._proxy_url and not name.startswith(f"{SCRIPTED}/"):
            return of_the_proxy(name, url=self._proxy_url, key=self._proxy_key)
        return of_the_server(name)

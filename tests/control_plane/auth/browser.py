"""A browser as far as signing in needs one: it keeps cookies, and goes where it is sent when it is told to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlencode, urlsplit

import httpx

ORIGIN = "http://127.0.0.1:7777"
"""That of the public URL in the settings of the tests; the server itself listens elsewhere."""

CALLBACK = f"{ORIGIN}/auth/callback"
SESSION = "control_plane_session"
SIGN_IN = "control_plane_sign_in"


class Browser:
    """`http` sends its cookies to the server. Paths are below the server's root."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def begin(self, issuer: str, *, return_to: str = "/api/docs") -> httpx.Response:
        """Follow the link to a provider; what the server answers."""
        query = urlencode({"issuer": issuer, "return_to": return_to})
        return await self.http.get(f"/auth/sign-in?{query}")

    async def at_provider(self, issuer: str, *, return_to: str = "/api/docs") -> str:
        """Begin and sign in at the provider; the path on the server that it sends the browser back to."""
        begun = await self.begin(issuer, return_to=return_to)
        sent_back = (await self.http.get(begun.headers["Location"])).headers["Location"]
        assert sent_back.startswith(CALLBACK)
        parts = urlsplit(sent_back)
        return f"{parts.path}?{parts.query}"

    async def sign_in(self, issuer: str, *, return_to: str = "/api/docs") -> httpx.Response:
        """The whole way; what the server answers at its end."""
        return await self.http.get(await self.at_provider(issuer, return_to=return_to))

    async def enter_key(self, key: str, *, origin: str = ORIGIN, return_to: str = "/api/docs") -> httpx.Response:
        """Send the form for API keys from a page of `origin`."""
        form = {"api_key": key, "return_to": return_to}
        return await self.http.post("/auth/sign-in", data=form, headers={"Origin": origin})

    async def sign_out(self, *, origin: str = ORIGIN) -> httpx.Response:
        """Press the button on a page of `origin`."""
        return await self.http.post("/auth/sign-out", headers={"Origin": origin})

    async def agents(self, **headers: str) -> httpx.Response:
        """Ask the API for something."""
        return await self.http.get("/api/v1/agents", headers=headers)


@asynccontextmanager
async def opened_browser(api_url: str) -> AsyncIterator[Browser]:
    """A browser without any cookies."""
    async with httpx.AsyncClient(base_url=api_url, timeout=30, trust_env=False) as http:
        yield Browser(http)

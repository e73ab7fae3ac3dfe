"""Speaking to GitHub's REST API, and errors as a model can use them."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
from gidgethub import BadRequest, GitHubBroken, HTTPException, RateLimitExceeded
from gidgethub.aiohttp import GitHubAPI
from gidgethub.apps import get_installation_access_token
from jwt.exceptions import PyJWTError

from toolsets import Retryable, ToolContext, ToolFailed
from toolsets.builtin.base_urls import permitted
from toolsets.builtin.github.connecting import NotThere
from toolsets.builtin.github.settings import GithubSettings
from toolsets.builtin.guarded_sessions import Redirected, cause, guarded_session

AGENT = "agent-control-plane"
REQUEST_SECONDS = 30.0

_VERSION = {"X-GitHub-Api-Version": "2022-11-28"}
_MEANINGS = {
    401: "GitHub doesn't accept the credentials.",
    403: "The credentials may not do that.",
    404: "There is no such thing, or the credentials may not see it.",
    409: "It conflicts with what is there.",
    410: "It is gone or switched off.",
    422: "GitHub finds it invalid.",
}
_LONGEST_PAUSE_SECONDS = 3600.0


class Api:
    """GitHub with the credentials of the settings. Paths are URI templates: `/repos/{owner}/{repo}`."""

    def __init__(self, client: GitHubAPI) -> None:
        self._client = client

    async def get(self, path: str, variables: dict[str, Any]) -> Any:
        """What is there. Raises `ToolFailed`."""
        with explained():
            return await self._client.getitem(path, variables, extra_headers=_VERSION)

    async def post(self, path: str, variables: dict[str, Any], data: Any) -> Any:
        """Make something. Raises `ToolFailed`."""
        with explained():
            return await self._client.post(path, variables, data=data, extra_headers=_VERSION)

    async def patch(self, path: str, variables: dict[str, Any], data: Any) -> Any:
        """Change something. Raises `ToolFailed`."""
        with explained():
            return await self._client.patch(path, variables, data=data, extra_headers=_VERSION)

    async def put(self, path: str, variables: dict[str, Any], data: Any) -> Any:
        """Make or change something. Raises `ToolFailed`."""
        with explained():
            return await self._client.put(path, variables, data=data, extra_headers=_VERSION)

    async def delete(self, path: str, variables: dict[str, Any], data: Any = b"") -> None:
        """Take something away. Raises `ToolFailed`."""
        with explained():
            await self._client.delete(path, variables, data=data, extra_headers=_VERSION)

    async def location(self, path: str, variables: dict[str, Any]) -> str:
        """Where GitHub says that something is kept. Raises `ToolFailed`."""
        try:
            with explained():
                await self._client.getitem(path, variables, extra_headers=_VERSION)
        except _Elsewhere as elsewhere:
            return elsewhere.location
        raise ToolFailed("GitHub doesn't say where that is kept.")


class _Elsewhere(ToolFailed):
    """GitHub names another address. Where that isn't expected, something has moved."""

    def __init__(self, location: str) -> None:
        super().__init__("It has moved, perhaps because the repository was renamed. Use its new name.")
        self.location = location


@contextmanager
def explained() -> Any:
    """Turn what goes wrong in the block into what a model can use."""
    try:
        yield
    except Redirected as error:
        raise _Elsewhere(error.location) from error
    except RateLimitExceeded as error:
        reset = error.rate_limit.reset_datetime.timestamp() - time.time()
        text = f"GitHub's rate limit is used up for {max(reset, 0):.0f} s."
        raise Retryable(text, after_seconds=min(max(reset, 0), _LONGEST_PAUSE_SECONDS)) from error
    except GitHubBroken as error:
        raise Retryable(f"GitHub can't answer at the moment ({int(error.status_code)}).") from error
    except HTTPException as error:
        raise _refusal(error) from error
    except PyJWTError as error:
        raise ToolFailed("The private key of the GitHub App can't be used. It must be its PEM.") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Retryable(f"GitHub can't be reached ({cause(error)}).") from error


@asynccontextmanager
async def opened(context: ToolContext[GithubSettings]) -> AsyncIterator[Api]:
    """GitHub, with the credentials that the settings name."""
    settings = context.settings
    secret = (await context.secret(settings.secrets()[0])).strip()
    async with guarded_session(permitted(settings.allowed_networks), seconds=REQUEST_SECONDS) as session:
        token = secret
        if settings.app_id and settings.installation_id:
            app = GitHubAPI(session, AGENT, base_url=settings.base_url)
            with explained():
                issued = await get_installation_access_token(
                    app, installation_id=settings.installation_id, app_id=settings.app_id, private_key=secret
                )
            token = issued["token"]
        yield Api(GitHubAPI(session, AGENT, oauth_token=token, base_url=settings.base_url))


async def fetched(context: ToolContext[GithubSettings], url: str, *, most: int) -> bytes:
    """The last `most` bytes of what GitHub keeps elsewhere, asked for without its credentials."""
    content = b""
    try:
        async with (
            guarded_session(permitted(context.settings.allowed_networks), seconds=REQUEST_SECONDS) as session,
            session.get(url) as response,
        ):
            response.raise_for_status()
            async for chunk in response.content.iter_chunked(1 << 16):
                content = (content + chunk)[-most:]
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise Retryable(f"What GitHub keeps elsewhere can't be read ({cause(error)}).") from error
    return content


def _refusal(error: HTTPException) -> ToolFailed:
    status = int(error.status_code)
    said = f" It says: {str(error)[:1_000]}" if str(error) else ""
    after = error.headers.get("retry-after", "")
    if isinstance(error, BadRequest) and (status == 429 or after.isdigit()):
        return Retryable(f"GitHub asks for a pause.{said}", after_seconds=float(after) if after.isdigit() else None)
    kind = NotThere if status == 404 else ToolFailed
    return kind(f"{_MEANINGS.get(status, f'GitHub refused it ({status}).')}{said}")

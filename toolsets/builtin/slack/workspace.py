"""Speaking to Slack, and errors as a model can use them."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from toolsets import Retryable, ToolFailed
from toolsets.builtin.base_urls import permitted
from toolsets.builtin.guarded_sessions import Redirected, cause, guarded_session
from toolsets.builtin.slack.settings import SlackSettings

REQUEST_SECONDS = 30.0
MOST_CHANNEL_PAGES = 10

_ID = re.compile(r"[CGD][A-Z0-9]{7,20}")
_MEANINGS = {
    "channel_not_found": "There is no such channel, or the bot may not see it.",
    "not_in_channel": "The bot isn't in this channel. Somebody has to invite it.",
    "is_archived": "The channel is archived.",
    "invalid_auth": "Slack doesn't accept the token.",
    "not_authed": "Slack doesn't accept the token.",
    "account_inactive": "The token belongs to somebody who is gone.",
    "token_revoked": "The token was revoked.",
    "token_expired": "The token has expired.",
    "missing_scope": "The token lacks a scope for that.",
    "not_allowed_token_type": "That takes a token of another type.",
    "msg_too_long": "The message is too long. Send it in parts.",
    "no_text": "The message is empty.",
    "thread_not_found": "There is no such thread in this channel.",
    "message_not_found": "There is no such message in this channel.",
    "invalid_name": "There is no such emoji.",
}
_PASSING = frozenset({"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable"})


class Workspace:
    """A Slack workspace with one token."""

    def __init__(self, client: AsyncWebClient, settings: SlackSettings) -> None:
        self.client = client
        self._settings = settings

    async def ask(self, method: Callable[..., Awaitable[Any]], **arguments: Any) -> Mapping[str, Any]:
        """The answer of a method of the client. Raises `ToolFailed`."""
        try:
            answer = await method(**arguments)
        except SlackApiError as error:
            raise _refusal(error) from error
        except Redirected as error:
            raise ToolFailed(f"Slack can't be used: {error}.") from error
        except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Retryable(f"Slack can't be reached ({cause(error)}).") from error
        data: Mapping[str, Any] = answer.data
        return data

    async def channel(self, wanted: str) -> str:
        """The id of a channel that is within bounds, by its id or name. Raises `ToolFailed`."""
        wanted = wanted.strip().removeprefix("#")
        if _ID.fullmatch(wanted):
            if self._settings.permits(wanted, None):
                return wanted
            found = await self.ask(self.client.conversations_info, channel=wanted)
            identity, name = wanted, found["channel"].get("name")
        else:
            identity, name = await self._named(wanted), wanted
        if not self._settings.permits(identity, name):
            allowed = ", ".join(sorted(self._settings.channels or ())) or "none"
            raise ToolFailed(f"The channel {wanted} is out of bounds here. Allowed are: {allowed}.")
        return identity

    async def channels(self, cursor: str, *, limit: int) -> Mapping[str, Any]:
        """A page of channels, as Slack has them."""
        return await self.ask(
            self.client.conversations_list,
            types="public_channel,private_channel",
            exclude_archived=True,
            limit=limit,
            cursor=cursor or None,
        )

    async def _named(self, name: str) -> str:
        cursor = ""
        for _ in range(MOST_CHANNEL_PAGES):
            page = await self.channels(cursor, limit=1000)
            for channel in page["channels"]:
                if channel["name"] == name:
                    return str(channel["id"])
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                break
        raise ToolFailed(f"There is no channel {name!r} that the bot can see. Use its id, such as C012AB3CD.")


@asynccontextmanager
async def opened(settings: SlackSettings, token: str) -> AsyncIterator[Workspace]:
    """A workspace."""
    async with guarded_session(permitted(settings.allowed_networks), seconds=REQUEST_SECONDS) as session:
        client = AsyncWebClient(
            token=token,
            session=session,
            base_url=f"{settings.base_url}/",
            timeout=int(REQUEST_SECONDS),
            retry_handlers=[],
        )
        # Taken from the worker's environment, which must not decide where credentials go.
        client.proxy = None
        yield Workspace(client, settings)


def _refusal(error: SlackApiError) -> ToolFailed:
    response = error.response
    data = response if isinstance(response, dict) else getattr(response, "data", None)
    code = str(data.get("error", "")) if isinstance(data, dict) else ""
    status = getattr(response, "status_code", 0)
    headers = {name.lower(): value for name, value in (getattr(response, "headers", None) or {}).items()}
    if status == 429 or status >= 500 or code in _PASSING:
        after = headers.get("retry-after", "")
        text = f"Slack can't answer at the moment ({code or status})."
        return Retryable(text, after_seconds=float(after) if after.isdigit() else None)
    needed = f" It needs {data['needed']}." if isinstance(data, dict) and data.get("needed") else ""
    return ToolFailed(f"{_MEANINGS.get(code, 'Slack refused it.')}{needed} ({code or status})")

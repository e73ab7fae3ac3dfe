"""The tools of `slack`."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from toolsets import ToolContext, ToolFailed, Toolset
from toolsets.builtin.extras import needs
from toolsets.builtin.slack.settings import SlackSettings

if TYPE_CHECKING:
    from toolsets.builtin.slack.workspace import Workspace

MAX_TEXT = 12_000
"""Slack cuts messages at 40,000 characters and asks to stay far below."""

slack = Toolset(
    "slack",
    description="Slack: post, reply, read, search, react.",
    settings=SlackSettings,
    secrets=SlackSettings.secrets,
    hosts=SlackSettings.hosts,
)
needs(slack, "slack_sdk")

Context = ToolContext[SlackSettings]
Channel = Annotated[str, Field(min_length=1, max_length=100, description="Its id, or its name such as #ops.")]
Timestamp = Annotated[str, Field(pattern=r"^[0-9]{1,16}\.[0-9]{1,6}$", description="The `ts` of a message.")]
Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT, description="In Slack's own markup (mrkdwn).")]


@slack.tool(effect="read")
async def list_channels(
    context: Context,
    limit: Annotated[int, Field(ge=1, le=200)] = 100,
    cursor: Annotated[str, Field(max_length=500, description="What a list before gave as `cursor`.")] = "",
) -> dict[str, object]:
    """List channels that can be used: id, name and topic."""
    async with _workspace(context) as workspace:
        page = await workspace.channels(cursor, limit=limit)
    channels = [
        {
            "id": channel["id"],
            "name": channel["name"],
            "topic": (channel.get("topic") or {}).get("value", ""),
            "is_member": channel.get("is_member", False),
        }
        for channel in page["channels"]
        if context.settings.permits(channel["id"], channel["name"])
    ]
    return {"channels": channels, **_cursor(page)}


@slack.tool(effect="write")
async def post(context: Context, channel: Channel, text: Text) -> dict[str, object]:
    """Post a message to a channel."""
    return await _send(context, channel, text, thread=None)


@slack.tool(effect="write")
async def reply(context: Context, channel: Channel, thread_ts: Timestamp, text: Text) -> dict[str, object]:
    """Reply to a message, in its thread."""
    return await _send(context, channel, text, thread=thread_ts)


@slack.tool(effect="read")
async def read(
    context: Context,
    channel: Channel,
    thread_ts: Annotated[str | None, Field(description="Read the thread of this message instead.")] = None,
    limit: Annotated[int, Field(ge=1, le=200)] = 50,
    cursor: Annotated[str, Field(max_length=500, description="What a reading before gave as `cursor`.")] = "",
) -> dict[str, object]:
    """Read the messages of a channel, the newest first, or those of a thread, the oldest first."""
    async with _workspace(context) as workspace:
        where: dict[str, Any] = {"channel": await workspace.channel(channel), "limit": limit, "cursor": cursor or None}
        if thread_ts:
            page = await workspace.ask(workspace.client.conversations_replies, ts=thread_ts, **where)
        else:
            page = await workspace.ask(workspace.client.conversations_history, **where)
    return {"messages": [_message(message) for message in page["messages"]], **_cursor(page)}


@slack.tool(effect="read")
async def search(
    context: Context,
    query: Annotated[
        str, Field(min_length=1, max_length=500, description="Words, and from:, in:, after: as in Slack.")
    ],
    limit: Annotated[int, Field(ge=1, le=100)] = 20,
    page: Annotated[int, Field(ge=1, le=100)] = 1,
) -> dict[str, object]:
    """Search messages, the newest first."""
    if context.settings.user_token is None:
        raise ToolFailed("Nobody can search here, because there is no user's token for it. Read a channel instead.")
    async with _workspace(context, secret=context.settings.user_token) as workspace:
        client = workspace.client
        found = await workspace.ask(client.search_messages, query=query, count=limit, page=page, sort="timestamp")
    matches = [
        {"channel": match["channel"]["id"], "channel_name": match["channel"].get("name"), **_message(match)}
        for match in found["messages"]["matches"]
        if context.settings.permits(match["channel"]["id"], match["channel"].get("name"))
    ]
    return {"matches": matches}


@slack.tool(effect="write", idempotent=True)
async def react(
    context: Context,
    channel: Channel,
    ts: Timestamp,
    emoji: Annotated[
        str, Field(pattern=r"^:?[a-z0-9_+'-]{1,100}:?$", description="Its name, such as white_check_mark.")
    ],
) -> dict[str, object]:
    """React to a message with an emoji."""
    context.settings.check_message("")
    async with _workspace(context) as workspace:
        identity = await workspace.channel(channel)
        try:
            await workspace.ask(workspace.client.reactions_add, channel=identity, timestamp=ts, name=emoji.strip(":"))
        except ToolFailed as failure:
            if "(already_reacted)" not in str(failure):
                raise
    return {"channel": identity, "ts": ts, "emoji": emoji.strip(":")}


async def _send(context: Context, channel: str, text: str, *, thread: str | None) -> dict[str, object]:
    context.settings.check_message(text)
    async with _workspace(context) as workspace:
        identity = await workspace.channel(channel)
        sent = await workspace.ask(
            workspace.client.chat_postMessage,
            channel=identity,
            text=text,
            thread_ts=thread,
            # A preview makes Slack ask a server that the text names: a way out for what an agent knows.
            unfurl_links=False,
            unfurl_media=False,
            link_names=False,
        )
    return {"channel": sent["channel"], "ts": sent["ts"]}


@asynccontextmanager
async def _workspace(context: Context, *, secret: str | None = None) -> "AsyncIterator[Workspace]":
    module = await asyncio.to_thread(_loaded)
    token = await context.secret(secret or context.settings.token)
    async with module.opened(context.settings, token) as workspace:
        yield workspace


def _loaded() -> ModuleType:
    # Late: the client and its HTTP library take a third of a second to import, which few executions need.
    from toolsets.builtin.slack import workspace  # noqa: PLC0415

    return workspace


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    author = message.get("user") or message.get("username") or message.get("bot_id") or ""
    told = {"ts": message["ts"], "author": author, "text": message.get("text", "")}
    for name in ("thread_ts", "reply_count", "permalink"):
        if message.get(name):
            told[name] = message[name]
    if message.get("reactions"):
        told["reactions"] = {reaction["name"]: reaction["count"] for reaction in message["reactions"]}
    if message.get("files"):
        told["files"] = [file.get("name", "") for file in message["files"]]
    return told


def _cursor(page: Mapping[str, Any]) -> dict[str, str]:
    cursor = (page.get("response_metadata") or {}).get("next_cursor")
    return {"cursor": cursor} if cursor else {}

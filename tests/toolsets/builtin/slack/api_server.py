"""A small Slack: the methods of its Web API that the toolset calls, with its answers and errors."""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

TOKEN = "xoxb-of-the-bot"
USER_TOKEN = "xoxp-of-somebody"

Thing = dict[str, Any]


def _channel(identity: str, name: str, *, member: bool = True) -> Thing:
    return {"id": identity, "name": name, "is_channel": True, "is_member": member, "topic": {"value": f"About {name}"}}


@dataclass
class Slack:
    """An ASGI application. `messages` are those of each channel, the oldest first."""

    channels: list[Thing] = field(
        default_factory=lambda: [
            _channel("C0000OPS1", "ops"),
            _channel("C0000DEV1", "dev"),
            _channel("C0000BOSS", "boss", member=False),
        ]
    )
    messages: dict[str, list[Thing]] = field(default_factory=dict)
    called: list[tuple[str, Thing]] = field(default_factory=list)
    failures: list[Response] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        body = await request.body()
        given = json.loads(body) if body.startswith(b"{") else dict(parse_qsl(body.decode()))
        given |= dict(request.query_params)
        method = scope["path"].removeprefix("/api/")
        self.called.append((method, given))
        response = self.failures.pop(0) if self.failures else JSONResponse(self._answer(request, method, given))
        await response(scope, receive, send)

    def _answer(self, request: Request, method: str, given: Thing) -> Thing:  # noqa: C901, PLR0911 - a table of methods
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in (TOKEN, USER_TOKEN):
            return {"ok": False, "error": "invalid_auth"}
        if method == "conversations.list":
            return self._listed(given)
        if method == "search.messages":
            if token != USER_TOKEN:
                return {"ok": False, "error": "not_allowed_token_type"}
            return self._found(given)
        channel = next((each for each in self.channels if each["id"] == given["channel"]), None)
        if channel is None:
            return {"ok": False, "error": "channel_not_found"}
        if method == "conversations.info":
            return {"ok": True, "channel": channel}
        if not channel["is_member"]:
            return {"ok": False, "error": "not_in_channel"}
        kept = self.messages.setdefault(channel["id"], [])
        match method:
            case "chat.postMessage":
                return self._posted(kept, channel, given)
            case "conversations.history":
                return _page(
                    [each for each in reversed(kept) if each.get("thread_ts", each["ts"]) == each["ts"]], given
                )
            case "conversations.replies":
                thread = [each for each in kept if each.get("thread_ts", each["ts"]) == given["ts"]]
                return _page(thread, given) if thread else {"ok": False, "error": "thread_not_found"}
            case "reactions.add":
                return _reacted(kept, given)
        return {"ok": False, "error": "unknown_method"}

    def _listed(self, given: Thing) -> Thing:
        start = int(given.get("cursor") or 0)
        end = start + int(given["limit"])
        cursor = str(end) if end < len(self.channels) else ""
        return {"ok": True, "channels": self.channels[start:end], "response_metadata": {"next_cursor": cursor}}

    def _found(self, given: Thing) -> Thing:
        matches = [
            {**message, "channel": {"id": channel["id"], "name": channel["name"]}, "permalink": "https://slack.com/p"}
            for channel in self.channels
            for message in self.messages.get(channel["id"], [])
            if given["query"] in message["text"]
        ]
        return {"ok": True, "query": given["query"], "messages": {"total": len(matches), "matches": matches}}

    def _posted(self, kept: list[Thing], channel: Thing, given: Thing) -> Thing:
        ts = f"1700000000.{len(kept) + 1:06}"
        thread = {"thread_ts": given["thread_ts"]} if given.get("thread_ts") else {}
        kept.append({"type": "message", "user": "U0000BOT1", "text": given["text"], "ts": ts, **thread})
        return {"ok": True, "channel": channel["id"], "ts": ts, "message": kept[-1]}


def _page(messages: list[Thing], given: Thing) -> Thing:
    start = int(given.get("cursor") or 0)
    end = start + int(given["limit"])
    cursor = str(end) if end < len(messages) else ""
    return {"ok": True, "messages": messages[start:end], "response_metadata": {"next_cursor": cursor}}


def _reacted(kept: list[Thing], given: Thing) -> Thing:
    message = next((each for each in kept if each["ts"] == given["timestamp"]), None)
    if message is None:
        return {"ok": False, "error": "message_not_found"}
    reactions = message.setdefault("reactions", [])
    if any(reaction["name"] == given["name"] for reaction in reactions):
        return {"ok": False, "error": "already_reacted"}
    reactions.append({"name": given["name"], "count": 1, "users": ["U0000BOT1"]})
    return {"ok": True}

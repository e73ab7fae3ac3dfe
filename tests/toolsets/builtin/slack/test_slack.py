from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.responses import JSONResponse, RedirectResponse

from tests.serving import serving
from tests.toolsets.builtin.slack.api_server import TOKEN, USER_TOKEN, Slack
from toolsets import Retryable, SettingsInvalid, ToolFailed
from toolsets.builtin.slack import slack
from toolsets.testing import call, conforms

pytestmark = pytest.mark.integration

OPS = "C0000OPS1"
SEARCHES = {"user_token": "slack_user_token"}


@dataclass(frozen=True, slots=True)
class Workspace:
    server: Slack
    call: Callable[..., Awaitable[Any]]


@pytest.fixture(scope="session")
async def listening() -> AsyncIterator[tuple[Slack, str]]:
    server = Slack()
    async with serving(server, lifespan=False) as url:
        yield server, url


@pytest.fixture
def workspace(listening: tuple[Slack, str]) -> Workspace:
    """A workspace with the channels ops, dev and boss; the bot is in the first two."""
    server, url = listening
    server.__init__()  # type: ignore[misc] # everything as it was at first

    async def called(tool: str, *, settings: dict[str, Any] | None = None, token: str = TOKEN, **arguments: Any) -> Any:
        here = {"base_url": f"{url}/api", "allowed_networks": ["127.0.0.0/8"]}
        secrets = {"slack_token": token, "slack_user_token": USER_TOKEN}
        return await call(slack, tool, settings=here | (settings or {}), secrets=secrets, **arguments)

    return Workspace(server, called)


def test_the_toolset_keeps_the_contract() -> None:
    conforms(slack)


def test_each_tool_says_what_it_does_to_the_world() -> None:
    effects = {tool.name.removeprefix("slack_"): (tool.effect, tool.idempotent) for tool in slack.tools.values()}

    assert effects == {
        "list_channels": ("read", True),
        "read": ("read", True),
        "search": ("read", True),
        "post": ("write", False),
        "reply": ("write", False),
        "react": ("write", True),
    }


@pytest.mark.parametrize("channel", ["#ops", "ops", OPS])
async def test_a_message_is_posted_replied_to_and_read(workspace: Workspace, channel: str) -> None:
    posted = await workspace.call("post", channel=channel, text="Deployed.")
    await workspace.call("reply", channel=channel, thread_ts=posted["ts"], text="And tested.")

    read = await workspace.call("read", channel=channel)
    thread = await workspace.call("read", channel=channel, thread_ts=posted["ts"])
    assert [message["text"] for message in read["messages"]] == ["Deployed."]
    assert [message["text"] for message in thread["messages"]] == ["Deployed.", "And tested."]


async def test_messages_come_in_pages_the_newest_first(workspace: Workspace) -> None:
    for text in ("one", "two", "three"):
        await workspace.call("post", channel=OPS, text=text)

    first = await workspace.call("read", channel=OPS, limit=2)
    second = await workspace.call("read", channel=OPS, limit=2, cursor=first["cursor"])

    assert [message["text"] for message in first["messages"]] == ["three", "two"]
    assert [message["text"] for message in second["messages"]] == ["one"]
    assert "cursor" not in second


async def test_a_message_makes_slack_ask_no_server_that_it_names(workspace: Workspace) -> None:
    await workspace.call("post", channel=OPS, text="https://example.com/?everything-i-know")

    [given] = [given for method, given in workspace.server.called if method == "chat.postMessage"]
    assert [given[name] for name in ("unfurl_links", "unfurl_media")] in ([False, False], ["0", "0"])


async def test_reacting_twice_is_the_same_as_once(workspace: Workspace) -> None:
    posted = await workspace.call("post", channel=OPS, text="Deployed.")

    await workspace.call("react", channel=OPS, ts=posted["ts"], emoji=":tada:")
    await workspace.call("react", channel=OPS, ts=posted["ts"], emoji="tada")

    [message] = (await workspace.call("read", channel=OPS))["messages"]
    assert message["reactions"] == {"tada": 1}


async def test_a_search_takes_the_token_of_a_user(workspace: Workspace) -> None:
    await workspace.call("post", channel=OPS, text="The hat is red.")

    found = await workspace.call("search", query="hat", settings=SEARCHES)

    assert [match["text"] for match in found["matches"]] == ["The hat is red."]
    with pytest.raises(ToolFailed, match="no user's token for it"):
        await workspace.call("search", query="hat")


async def test_a_search_finds_nothing_in_other_channels(workspace: Workspace) -> None:
    await workspace.call("post", channel="ops", text="The hat is red.")
    await workspace.call("post", channel="dev", text="The hat is blue.")

    found = await workspace.call("search", query="hat", settings=SEARCHES | {"channels": ["dev"]})

    assert [match["text"] for match in found["matches"]] == ["The hat is blue."]


@pytest.mark.parametrize("channels", [["dev"], ["C0000DEV1"], []])
@pytest.mark.parametrize("channel", ["#ops", OPS])
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("post", {"text": "Hello"}),
        ("reply", {"text": "Hello", "thread_ts": "1700000000.000001"}),
        ("react", {"ts": "1700000000.000001", "emoji": "tada"}),
        ("read", {}),
    ],
)
async def test_other_channels_are_out_of_bounds(
    workspace: Workspace, tool: str, arguments: dict[str, str], channel: str, channels: list[str]
) -> None:
    with pytest.raises(ToolFailed, match="is out of bounds here"):
        await workspace.call(tool, channel=channel, settings={"channels": channels}, **arguments)

    assert {method for method, _ in workspace.server.called} <= {"conversations.list", "conversations.info"}


@pytest.mark.parametrize("channels", [["ops"], ["#ops"], [OPS]])
@pytest.mark.parametrize("channel", ["#ops", OPS])
async def test_channels_of_the_list_are_not(workspace: Workspace, channel: str, channels: list[str]) -> None:
    await workspace.call("post", channel=channel, text="Hello", settings={"channels": channels})

    listed = await workspace.call("list_channels", settings={"channels": channels})
    assert [each["id"] for each in listed["channels"]] == [OPS]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("post", {"text": "Hello"}),
        ("reply", {"text": "Hello", "thread_ts": "1700000000.000001"}),
        ("react", {"ts": "1700000000.000001", "emoji": "tada"}),
    ],
)
async def test_nothing_is_written_where_it_is_read_only(
    workspace: Workspace, tool: str, arguments: dict[str, str]
) -> None:
    with pytest.raises(ToolFailed, match="read-only here"):
        await workspace.call(tool, channel=OPS, settings={"read_only": True}, **arguments)

    assert workspace.server.called == []


@pytest.mark.parametrize("mention", ["<!channel>", "<!here|here>", "<!everyone>", "<!subteam^S012>"])
async def test_nobody_calls_everybody_unless_allowed(workspace: Workspace, mention: str) -> None:
    with pytest.raises(ToolFailed, match="whole channels or groups"):
        await workspace.call("post", channel=OPS, text=f"{mention} hello")
    await workspace.call("post", channel=OPS, text=f"{mention} hello", settings={"allow_broadcasts": True})

    assert len(workspace.server.messages[OPS]) == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"channel": "boss"}, "The bot isn't in this channel"),
        ({"channel": "none"}, "There is no channel 'none'"),
        ({"channel": "C0000NONE"}, "There is no such channel"),
        ({"channel": OPS, "token": "another"}, "Slack doesn't accept the token"),
    ],
)
async def test_a_refusal_says_what_is_wrong(workspace: Workspace, arguments: dict[str, str], reason: str) -> None:
    with pytest.raises(ToolFailed, match=reason):
        await workspace.call("post", text="Hello", **arguments)


async def test_a_pause_that_slack_asks_for_is_made(workspace: Workspace) -> None:
    headers = {"Retry-After": "30"}
    workspace.server.failures.append(JSONResponse({"ok": False, "error": "ratelimited"}, 429, headers=headers))

    with pytest.raises(Retryable) as caught:
        await workspace.call("read", channel=OPS)

    assert caught.value.after_seconds == 30


async def test_a_redirect_takes_the_token_nowhere(workspace: Workspace) -> None:
    workspace.server.failures.append(RedirectResponse("/api/auth.test"))

    with pytest.raises(ToolFailed, match="redirects to somewhere else"):
        await workspace.call("read", channel=OPS)

    assert len(workspace.server.called) == 1


async def test_a_server_in_a_private_network_is_not_asked_unless_allowed(workspace: Workspace) -> None:
    with pytest.raises(ToolFailed, match=r"127\.0\.0\.1 isn't on the public internet"):
        await workspace.call("read", channel=OPS, settings={"allowed_networks": []})

    assert workspace.server.called == []


@pytest.mark.parametrize("settings", [{"base_url": "http://slack.example.com"}, {"token": ""}, {"colour": "blue"}])
def test_settings_that_can_not_be_meant_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingsInvalid):
        slack.configured(settings)

"""Real MCP servers: a program in the sandbox, and one that speaks streamable HTTP."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Mapping, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.serving import serving
from tests.toolsets.builtin.mcp.shop import made
from toolsets import Tool, ToolContext, ToolFailed
from toolsets.builtin import addresses
from toolsets.builtin.mcp import mcp
from toolsets.builtin.sandbox import PYTHON_FOLDERS
from toolsets.testing import conforms, context

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent
LOOPBACK = {"allowed_networks": ["127.0.0.0/8"]}


class Opened:
    """The tools of an execution, and the way to call them."""

    def __init__(self, tools: Mapping[str, Tool], given: ToolContext[Any]) -> None:
        self.tools = tools
        self._context = given

    async def call(self, name: str, **arguments: Any) -> Any:
        tool = self.tools[f"mcp_shop_{name}"]
        return await tool.call(self._context, tool.normalized(arguments))


@asynccontextmanager
async def opened(server: dict[str, Any], workspace: Path, **secrets: str) -> AsyncIterator[Opened]:
    given = context(mcp, workspace, settings={"servers": {"shop": server}}, secrets=secrets)
    async with mcp.open(given) as tools:
        yield Opened(tools, given)


def program(**settings: Any) -> dict[str, Any]:
    """The server as a program, in the sandbox with what Python needs to run it."""
    readable = [str(path) for path in (*PYTHON_FOLDERS, Path(sys.prefix), HERE)]
    return {"command": [sys.executable, str(HERE / "shop.py")], "sandbox": {"readable": readable}} | settings


class Listening:
    """The server as an application. `headers` are those of the latest request."""

    def __init__(self) -> None:
        self.app = made().streamable_http_app()
        self.headers: dict[str, str] = {}
        self.redirect = ""

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            if self.redirect:
                await send(
                    {"type": "http.response.start", "status": 307, "headers": [(b"location", self.redirect.encode())]}
                )
                await send({"type": "http.response.body", "body": b""})
                return
        await self.app(scope, receive, send)


@pytest.fixture(scope="session")
async def served() -> AsyncIterator[tuple[Listening, str]]:
    listening = Listening()
    async with serving(listening) as url:
        yield listening, f"{url}/mcp"


@pytest.fixture
def remote(served: tuple[Listening, str]) -> dict[str, Any]:
    """The server as one that speaks HTTP."""
    served[0].redirect = ""
    return {"url": served[1], **LOOPBACK}


def test_the_toolset_keeps_the_contract() -> None:
    conforms(mcp)


async def test_tools_of_a_server_become_tools_of_the_agent(remote: dict[str, Any], tmp_path: Path) -> None:
    async with opened(remote, tmp_path) as shop:
        effects = {name: (tool.effect, tool.idempotent) for name, tool in shop.tools.items()}

    assert effects["mcp_shop_stock"] == ("read", True)
    assert effects["mcp_shop_order"] == ("write", True)
    assert effects["mcp_shop_discard"] == ("destroy", False)


async def test_a_tool_is_called_with_arguments_that_fit_its_schema(remote: dict[str, Any], tmp_path: Path) -> None:
    async with opened(remote, tmp_path) as shop:
        with pytest.raises(ToolFailed, match="item"):
            await shop.call("stock", item=7)
        found = await shop.call("stock", item="hat", warehouse=2)

    assert found == {"item": "hat", "warehouse": 2, "count": 7}


async def test_what_a_tool_says_of_its_failure_reaches_the_model(remote: dict[str, Any], tmp_path: Path) -> None:
    async with opened(remote, tmp_path) as shop:
        with pytest.raises(ToolFailed, match="the shelf fell over"):
            await shop.call("break_down")


async def test_a_picture_is_noted(remote: dict[str, Any], tmp_path: Path) -> None:
    async with opened(remote, tmp_path) as shop:
        assert await shop.call("picture") == "(image of type image/png, some 108 bytes, which can't be shown)"


async def test_only_tools_of_the_list_are_offered(remote: dict[str, Any], tmp_path: Path) -> None:
    async with opened(remote | {"tools": ["stock"]}, tmp_path) as shop:
        assert list(shop.tools) == ["mcp_shop_stock"]


async def test_secrets_are_sent_as_headers(
    served: tuple[Listening, str], remote: dict[str, Any], tmp_path: Path
) -> None:
    server = remote | {"secret_headers": {"Authorization": "Bearer {shop_token}"}}

    async with opened(server, tmp_path, shop_token="a-secret\n"):
        pass

    assert served[0].headers["authorization"] == "Bearer a-secret"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/mcp", "https://169.254.169.254/mcp", "https://[::1]/mcp"])
async def test_a_private_address_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="isn't on the public internet"):
        async with opened({"url": url}, tmp_path):
            pass


async def test_a_name_that_leads_to_a_private_address_is_refused(
    served: tuple[Listening, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def resolved(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    monkeypatch.setattr(addresses, "system_resolver", resolved)
    served[0].headers = {}
    url = f"https://public.example.com:{urlsplit(served[1]).port}/mcp"

    with pytest.raises(ToolFailed, match=r"has the address 127\.0\.0\.1, which isn't on the public internet"):
        async with opened({"url": url}, tmp_path):
            pass

    assert served[0].headers == {}


async def test_a_redirect_to_another_server_is_not_followed(
    served: tuple[Listening, str], remote: dict[str, Any], tmp_path: Path
) -> None:
    served[0].redirect = "https://169.254.169.254/latest"

    with pytest.raises(ToolFailed, match="can't be used"):
        async with opened(remote, tmp_path):
            pass


async def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="The MCP server shop can't be"):
        async with opened({"url": "http://127.0.0.1:1/mcp", **LOOPBACK}, tmp_path):
            pass


async def test_two_servers_whose_tools_can_not_be_told_apart_are_refused(
    remote: dict[str, Any], tmp_path: Path
) -> None:
    settings = {"servers": {"a_break": remote | {"tools": ["discard"]}, "a": remote | {"tools": ["break_down"]}}}
    same = {"servers": {"a_break": remote | {"tools": ["down"]}, "a": remote | {"tools": ["break_down"]}}}

    async with mcp.open(context(mcp, tmp_path, settings=settings)) as tools:
        assert list(tools) == ["mcp_a_break_discard", "mcp_a_break_down"]
    with pytest.raises(ToolFailed, match="Two MCP servers have a tool that is called mcp_a_break_down"):
        async with mcp.open(context(mcp, tmp_path, settings=same)):
            pass


async def test_without_servers_there_is_nothing_to_use(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="No MCP server is named"):
        async with mcp.open(context(mcp, tmp_path)):
            pass


async def test_a_program_runs_in_the_sandbox_once_for_all_calls_and_ends_with_them(
    served: tuple[Listening, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "toolsets.builtin.mcp")
    (tmp_path / "notes.txt").write_text("of the execution")
    server = program(secret_environment={"SHOP_KEY": "shop_key"})
    server["sandbox"]["environment"] = {"SHOP_PORT": str(urlsplit(served[1]).port)}

    async with opened(server, tmp_path, shop_key="a-secret") as shop:
        first, second = await asyncio.gather(shop.call("stock", item="hat"), shop.call("stock", item="coat"))
        seen = await shop.call("surroundings")

    assert (first["item"], second["item"]) == ("hat", "coat")
    assert seen["environment"]["SHOP_KEY"] == "a-secret"
    assert "passwd" not in seen["etc"]
    assert seen["workspace"] == ["notes.txt", "started"]
    assert seen["network"] is False
    assert "MCP server shop: looking around with ***" in caplog.messages
    assert _shops() == []


def _shops() -> list[Path]:
    """The processes of servers that run on this machine."""
    return [process for process in Path("/proc").glob("[0-9]*/cmdline") if _is_shop(process)]


def _is_shop(process: Path) -> bool:
    try:
        return str(HERE / "shop.py").encode() in process.read_bytes()
    except OSError:
        return False


async def test_what_is_no_message_is_passed_over(tmp_path: Path) -> None:
    async with opened(program(), tmp_path) as shop:
        assert await shop.call("garble") == {"result": "clear again"}
        assert (await shop.call("stock", item="hat"))["count"] == 7


async def test_a_server_that_goes_away_fails_the_call_and_no_more(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving(made().streamable_http_app()))
        async with opened({"url": f"{url}/mcp", **LOOPBACK}, tmp_path) as shop:
            await shop.call("stock", item="hat")
            await stack.aclose()
            with pytest.raises(ToolFailed, match="The MCP server shop"):
                await shop.call("stock", item="hat")


async def test_a_program_that_ends_fails_the_call_and_no_more(tmp_path: Path) -> None:
    async with opened(program(), tmp_path) as shop:
        with pytest.raises(ToolFailed, match="The MCP server shop"):
            await shop.call("collapse")


async def test_a_program_ends_with_an_execution_that_is_cancelled(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def execution() -> None:
        async with opened(program(), tmp_path):
            begun.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(execution())
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert _shops() == []


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["/bin/true"], "can't be used"),
        (["/no/such/program"], "can't be used"),
        (["/bin/sleep", "60"], "said nothing for 1 s"),
    ],
)
async def test_a_program_that_is_no_server_is_told(command: list[str], reason: str, tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match=reason):
        async with opened({"command": command, "start_seconds": 1}, tmp_path):
            pass

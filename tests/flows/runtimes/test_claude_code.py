"""What Claude Code's command finds, and what it doesn't."""

import os
from pathlib import Path
from typing import Any

import pytest
from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient, PermissionResultDeny, ToolPermissionContext

from flows.runtimes import claude_code
from flows.runtimes.protocol import ModelEndpoint
from tests.flows.plans import Story
from tests.flows.runtimes.talk import Lamp, Talk
from tests.provider.server import Provider
from tests.provider.turns import calls, says

pytestmark = pytest.mark.integration


@pytest.fixture
def talk(endpoint: ModelEndpoint, story: Story, lamp: Lamp, tmp_path: Path) -> Talk:
    """A conversation with Claude Code."""
    return Talk("claude_code", endpoint=endpoint, story=story, lamp=lamp, folder=tmp_path / "own")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[ClaudeAgentOptions]:
    """The options that the SDK was called with."""
    (tmp_path / "own").mkdir()
    seen: list[ClaudeAgentOptions] = []

    def remembered(options: ClaudeAgentOptions) -> ClaudeSDKClient:
        seen.append(options)
        return ClaudeSDKClient(options)

    monkeypatch.setattr(claude_code, "ClaudeSDKClient", remembered)
    return seen


async def test_it_starts_in_a_clean_environment_and_reads_no_settings_of_a_person(
    talk: Talk,
    provider: Provider,
    opened: list[ClaudeAgentOptions],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    (home / ".claude").mkdir(parents=True)
    (home / ".claude" / "CLAUDE.md").write_text("canary-memory")
    (home / ".claude" / "settings.json").write_text('{"env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:1"}}')
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("CANARY", "canary-secret")
    monkeypatch.setenv("ANTHROPIC_MODEL", "canary-model")
    provider.will(calls("lamp_switch", {"to": "on"}), says("Noon."))
    talk.lamp.watch = processes

    await talk.say()

    [environment] = talk.lamp.seen
    assert "canary" not in environment
    assert f"HOME={talk.folder}/home" in environment
    assert "canary" not in "".join(request.text for request in provider.requests)
    assert not list((home / ".claude").glob("projects"))


def processes() -> str:
    """The environment of this process's one child that is Claude Code."""
    found = [
        (path / "environ").read_bytes().decode(errors="replace")
        for path in Path("/proc").iterdir()
        if path.name.isdigit()
        and f"\nPPid:\t{os.getpid()}\n" in (path / "status").read_text()
        and b"claude" in (path / "cmdline").read_bytes()
    ]
    return found[0]


async def test_its_own_tools_are_off_and_only_ours_are_permitted(
    talk: Talk, provider: Provider, opened: list[ClaudeAgentOptions], tmp_path: Path
) -> None:
    provider.will(calls("Bash", {"command": f"touch {tmp_path}/canary"}), says("Sorry."))

    await talk.say()

    [options] = opened
    permit: Any = options.can_use_tool
    assert isinstance(await permit("Bash", {}, ToolPermissionContext(tool_use_id="x")), PermissionResultDeny)
    assert (options.tools, options.allowed_tools, options.permission_mode) == ([], [], "default")
    assert (options.setting_sources, options.strict_mcp_config, options.verbatim_prompts) == ([], True, True)
    assert provider.requests[0].tools == ["lamp_switch"]
    assert not (tmp_path / "canary").exists()


async def test_a_prompt_stands_in_no_command_line(
    talk: Talk, provider: Provider, opened: list[ClaudeAgentOptions]
) -> None:
    provider.will(says("Noon."))
    long = "canary " * 30_000

    answer = await talk.but(instructions=long).say(long)

    assert answer == "Noon."
    assert opened[0].system_prompt == {"type": "file", "path": str(talk.folder / "system-prompt.txt")}
    assert long.strip() in provider.requests[0].text

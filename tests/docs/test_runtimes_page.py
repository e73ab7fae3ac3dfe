"""docs/runtimes.md names what there is, and its runtime works."""

import re
from pathlib import Path
from typing import Any

import pytest

from control_plane.agents.schemas import AgentLimits
from control_plane.wire.plan import Limits
from flows.dialogue import Dialogue
from flows.runtimes.installed import known
from flows.runtimes.protocol import ModelEndpoint, Setup
from tests.docs.pages import blocks, text
from tests.flows.plans import Story
from tests.flows.runtimes.talk import MODEL, Lamp
from tests.provider.server import Provider
from tests.provider.turns import calls, says

pytestmark = pytest.mark.integration

PAGE = "docs/runtimes.md"


def test_the_page_names_every_runtime_and_every_limit() -> None:
    page = text(PAGE)
    limits = dict(re.findall(r"^\| `(\w+)` \| [\w ]+ \| (\d+) \|", page, re.MULTILINE))

    assert set(known()) == set(re.findall(r"^\| `(\w+)`(?: \(default\))? \| (?:\[|Claude)", page, re.MULTILINE))
    assert limits.keys() == AgentLimits.model_fields.keys()
    assert {name: int(value) for name, value in limits.items()} == Limits().model_dump()


async def test_the_runtime_of_the_page_works(provider: Provider, tmp_path: Path) -> None:
    page: dict[str, Any] = {}
    exec(blocks(PAGE, "python")[0], page)
    lamp, story = Lamp(), Story()
    dialogue = Dialogue([lamp.tool], emit=story.emit, max_turns=5, history=[])
    setup = Setup(
        agent="Helper",
        instructions="Be brief.",
        model=MODEL,
        tools=dialogue.tools,
        endpoint=ModelEndpoint(openai_url=provider.openai_url, anthropic_url="", token="x"),
        folder=tmp_path,
    )
    provider.will(calls("lamp_switch", {"to": "on"}), says("It is on."), says("Still."))

    async with page["PlainRuntime"]().open(setup) as conversation:
        answers = [await dialogue.say(conversation, "Switch it on."), await dialogue.say(conversation, "And now?")]

    assert answers == ["It is on.", "Still."]
    assert lamp.calls == [{"to": "on"}]
    assert dialogue.usage.model_turns == 3
    assert story.kinds == ["usage", "message_chunk", "usage", "message", "message_chunk", "usage", "message"]

from pathlib import Path
from typing import Any

import pytest
from agno.agent import Agent

from control_plane.wire.plan import ModelPlan
from flows.runtimes import agno
from flows.runtimes.protocol import ModelEndpoint
from tests.flows.plans import Story
from tests.flows.runtimes.talk import Lamp, Talk
from tests.provider.server import Provider
from tests.provider.turns import says

pytestmark = pytest.mark.integration


@pytest.fixture
def talk(endpoint: ModelEndpoint, story: Story, lamp: Lamp, tmp_path: Path) -> Talk:
    """A conversation with Agno."""
    return Talk("agno", endpoint=endpoint, story=story, lamp=lamp, folder=tmp_path)


async def test_nobody_is_told_about_the_run(talk: Talk, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    agents: list[Agent] = []
    asked: list[object] = []

    def remembered(**settings: Any) -> Agent:
        asked.append(settings["telemetry"])
        agents.append(Agent(**settings))
        return agents[-1]

    monkeypatch.setattr(agno, "Agent", remembered)
    monkeypatch.setenv("AGNO_TELEMETRY", "true")
    provider.will(says("Noon."))

    await talk.say()

    assert asked == [False]
    assert [agent.telemetry for agent in agents] == [False]


async def test_the_temperature_goes_to_the_model(talk: Talk, provider: Provider) -> None:
    provider.will(says("Noon."))

    await talk.but(model=ModelPlan(name="anthropic/claude", temperature=0.5)).say()

    assert provider.requests[0].body["temperature"] == 0.5

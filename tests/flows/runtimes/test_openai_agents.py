from pathlib import Path

import pytest
from agents.tracing import get_trace_provider

from control_plane.wire.plan import ModelPlan
from flows.runtimes import openai_agents  # noqa: F401 - importing it turns tracing off
from flows.runtimes.protocol import ModelEndpoint
from tests.flows.plans import Story
from tests.flows.runtimes.talk import Lamp, Talk
from tests.provider.server import Provider
from tests.provider.turns import says

pytestmark = pytest.mark.integration


def test_nothing_is_traced() -> None:
    trace = get_trace_provider().create_trace("canary")

    assert trace.export() is None


async def test_the_temperature_goes_to_the_model(
    endpoint: ModelEndpoint, story: Story, lamp: Lamp, tmp_path: Path, provider: Provider
) -> None:
    talk = Talk("openai", endpoint=endpoint, story=story, lamp=lamp, folder=tmp_path)
    provider.will(says("Noon."))

    await talk.but(model=ModelPlan(name="anthropic/claude", temperature=0.5)).say()

    assert provider.requests[0].body["temperature"] == 0.5

"""Where a test makes tool calls as an execution does."""

import json
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from control_plane.wire.decisions import Decision, Outcome
from control_plane.wire.plan import PolicyPlan, ToolsetPlan
from flows.tool_calls import ToolCalls
from tests.flows.bench import Judge
from tests.flows.plans import Story, plan
from tests.flows.prefect_api import PrefectApi
from toolsets.registry import Registry

ALLOWED = Decision(outcome=Outcome.ALLOW)


def registry() -> Registry:
    """The toolset `bench` and no other."""
    return Registry([EntryPoint("bench", "tests.flows.bench:Plugin", "control_plane.toolsets")])


class Workshop:
    """Tool calls of one execution."""

    def __init__(self, judge: Judge, story: Story, prefect: PrefectApi, **changes: Any) -> None:
        toolsets = [ToolsetPlan(name="bench", settings={"grip": "firm"})]
        policies = [PolicyPlan(name="gentle", version=4, module="")]
        self.plan = plan(**({"toolsets": toolsets, "policies": policies} | changes))
        self.calls = ToolCalls(self.plan, judge, story.emit, story.told, Path("/workspace"))
        self._tools = {tool.name: tool for tool in self.calls.govern(registry())}
        self._prefect = prefect

    async def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        async with self._prefect.used():
            answer: dict[str, Any] = json.loads(await self._tools[f"bench_{name}"].call(arguments))
        return answer


Open = Callable[..., Workshop]
"""Open a workshop with a decision (or an error, or a judge) and changes to the plan."""

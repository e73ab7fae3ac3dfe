"""Where a test makes tool calls as an execution does."""

import json
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any
from uuid import UUID

from control_plane.wire.decisions import Decision, Outcome
from control_plane.wire.plan import PolicyPlan, ToolsetPlan
from flows.tool_calls import ToolCalls
from flows.tool_services import Nothing
from tests.flows.bench import Judge
from tests.flows.plans import Story, plan
from tests.flows.prefect_api import PrefectApi
from toolsets.registry import Registry

ALLOWED = Decision(outcome=Outcome.ALLOW)


def registry() -> Registry:
    """The toolset `bench` and no other."""
    return Registry([EntryPoint("bench", "tests.flows.bench:Plugin", "control_plane.toolsets")])


class Store(Nothing):
    """Stands for the control plane: gives the secrets that it has, and keeps what it gets."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []
        self.kept: list[tuple[str, bytes, str]] = []
        self.refusal: Exception | None = None

    async def secret(self, toolset: str, name: str) -> str:
        self.asked.append((toolset, name))
        return self.secrets[name]

    async def keep(self, name: str, content: bytes, *, media_type: str) -> UUID | None:
        if self.refusal:
            raise self.refusal
        self.kept.append((name, content, media_type))
        return UUID(int=77)


class Workshop:
    """Tool calls of one execution."""

    def __init__(self, judge: Judge, story: Story, prefect: PrefectApi, **changes: Any) -> None:
        toolsets = [ToolsetPlan(name="bench", settings={"grip": "loose"})]
        policies = [PolicyPlan(name="gentle", version=4, module="")]
        self.plan = plan(**({"toolsets": toolsets, "policies": policies} | changes))
        self.store = Store()
        self.calls = ToolCalls(self.plan, judge, story.emit, story.told, Path("/workspace"), self.store)
        self._prefect = prefect

    async def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        async with self._prefect.used(), self.calls.opened(registry()) as governed:
            [tool] = [tool for tool in governed if tool.name == f"bench_{name}"]
            answer: dict[str, Any] = json.loads(await tool.call(arguments))
        return answer


Open = Callable[..., Workshop]
"""Open a workshop with a decision (or an error, or a judge) and changes to the plan."""

"""Where a test talks with an agent of any runtime."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from control_plane.wire.messages import Message
from control_plane.wire.plan import ModelPlan
from flows import structured_output
from flows.dialogue import Dialogue
from flows.runtimes.installed import load
from flows.runtimes.protocol import GovernedTool, ModelEndpoint, RunFailed, Setup
from tests.flows.plans import Story

MODEL = ModelPlan(name="anthropic/claude")


def endpoint_of(gateway_url: str, model: str) -> ModelEndpoint:
    """The gateway as an execution that may call this model reaches it."""
    return ModelEndpoint(openai_url=f"{gateway_url}/openai/v1", anthropic_url=f"{gateway_url}/anthropic", token=model)


class Lamp:
    """A governed tool that notes what it is called with. Set `failure` and it raises that.

    With `watch` it notes in `seen` what that sees.
    """

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.answer = '{"result": "on"}'
        self.failure: Exception | None = None
        self.watch: Callable[[], str] | None = None
        self.seen: list[str] = []
        self.tool = GovernedTool(
            name="lamp_switch",
            description="Switch the lamp.",
            parameters={"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]},
            call=self._call,
        )

    async def _call(self, arguments: Mapping[str, Any]) -> str:
        self.calls.append(dict(arguments))
        if self.watch:
            self.seen.append(self.watch())
        if self.failure:
            raise self.failure
        return self.answer


@dataclass
class Talk:
    """One conversation. After it, `dialogue` knows what became of it."""

    agent_type: str
    endpoint: ModelEndpoint
    story: Story
    lamp: Lamp
    folder: Path
    model: ModelPlan = MODEL
    instructions: str = "Be brief."
    max_turns: int = 20
    history: Sequence[Message] = ()
    dialogue: Dialogue = field(init=False)

    def __post_init__(self) -> None:
        self.dialogue = Dialogue([self.lamp.tool], emit=self.story.emit, max_turns=self.max_turns, history=self.history)

    def but(self, **changes: Any) -> "Talk":
        """The same with changes."""
        return replace(self, **changes)

    @property
    def setup(self) -> Setup:
        return Setup(
            agent="Helper",
            instructions=self.instructions,
            model=self.model,
            tools=self.dialogue.tools,
            endpoint=self.endpoint,
            folder=self.folder,
        )

    async def say(self, text: str = "What time is it?") -> str:
        """What the agent answers."""
        async with load(self.agent_type).open(self.setup) as conversation:
            return await self.dialogue.say(conversation, text)

    async def output(self, schema: dict[str, Any]) -> dict[str, Any]:
        """What the agent answers as an object."""
        async with load(self.agent_type).open(self.setup) as conversation:
            answer = await self.dialogue.say(conversation, "What time is it?")
            _, output = await structured_output.fitted(self.dialogue, conversation, answer, schema)
        return output

    async def failure(self) -> RunFailed:
        """Why the agent can't answer."""
        try:
            answer = await self.say()
        except RunFailed as failure:
            return failure
        raise AssertionError(f"the agent answered: {answer}")

"""A toolset whose tools do what a test needs, and leave a trace when they run."""

import asyncio
import sys
import threading
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from control_plane.wire.decisions import Decision
from control_plane.wire.plan import PolicyPlan
from policies.input import DecisionInput
from toolsets import Retryable, ToolContext, ToolFailed, Toolset, hookimpl

SECRET = "the result that nobody else may see"
ran: list[dict[str, Any]] = []
"""What each tool was called with. Cleared before each test."""
contexts: list[ToolContext] = []
opened: list[str] = []
"""The secrets that tools got."""
released = threading.Event()


class BenchSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    grip: Literal["firm", "loose"] = "firm"


bench = Toolset("bench", settings=BenchSettings, secrets=["key", "lock"])


@bench.tool(effect="write")
def hammer(context: ToolContext, nail: str, blows: int = 3) -> dict[str, Any]:
    """Drive in a nail."""
    ran.append({"nail": nail, "blows": blows})
    contexts.append(context)
    return {"secret": SECRET}


@bench.tool(effect="read")
async def count(context: ToolContext) -> int:
    """Count the nails."""
    ran.append({})
    return 7


@bench.tool(effect="write")
def decline(context: ToolContext) -> None:
    """Fail in words for the model."""
    raise ToolFailed(f"The nail is bent. {SECRET}")


@bench.tool(effect="write")
def slip(context: ToolContext) -> None:
    """Have a bug."""
    raise ValueError(SECRET)


@bench.tool(effect="write")
def hang_up(context: ToolContext) -> None:
    """Meet a timeout of its own."""
    raise TimeoutError(SECRET)


@bench.tool(effect="write")
async def dawdle(context: ToolContext) -> None:
    """Take for ever."""
    await asyncio.Event().wait()


@bench.tool(effect="write")
def dawdle_in_thread(context: ToolContext) -> None:
    """Take until the test lets go."""
    released.wait(60)


@bench.tool(effect="write")
def leave(context: ToolContext) -> None:
    """End the program, as a script does."""
    sys.exit(SECRET)


@bench.tool(effect="write")
async def leave_at_once(context: ToolContext) -> None:
    """End the program from the event loop."""
    sys.exit(SECRET)


@bench.tool(effect="write")
async def give_up(context: ToolContext) -> None:
    """Cancel itself."""
    raise asyncio.CancelledError


@bench.tool(effect="read")
async def unlock(context: ToolContext, secret: str = "key") -> dict[str, Any]:
    """Use a secret and let it slip."""
    value = await context.secret(secret)
    opened.append(value)
    await context.progress(f"unlocking with {value}")
    return {"with": value, value: [f"again {value}"]}


@bench.tool(effect="read")
async def break_key(context: ToolContext) -> None:
    """Use a secret and fail."""
    raise ToolFailed(f"The key {await context.secret('key')} broke.")


@bench.tool(effect="read")
async def chatter(context: ToolContext, times: int) -> None:
    """Tell of progress as fast as possible."""
    for number in range(times):
        await context.progress(f"{number} done")


@bench.tool(effect="read")
async def look_again(context: ToolContext, failures: int) -> int:
    """Fail a few times in ways that pass."""
    ran.append({})
    if len(ran) <= failures:
        raise Retryable(f"Busy {len(ran)}.")
    return len(ran)


@bench.tool(effect="write")
async def push_again(context: ToolContext) -> None:
    """Fail in a way that passes."""
    ran.append({})
    raise Retryable("Busy.")


@bench.tool(effect="read", timeout=0.2)
async def doze(context: ToolContext) -> None:
    """Take longer than its author allows."""
    contexts.append(context)
    await asyncio.Event().wait()


@bench.tool(effect="read", max_output=20)
def recite(context: ToolContext, lines: int, as_text: bool = True) -> Any:  # noqa: FBT001, FBT002
    """Say much."""
    return "line\n" * lines if as_text else {"lines": ["line"] * lines}


class Plugin:
    @staticmethod
    @hookimpl
    def register_toolset() -> Toolset:
        return bench


class Judge:
    """Stands for `PolicyEngine`: gives its decision, or raises it, and remembers what it was asked."""

    def __init__(self, decision: Decision | Exception) -> None:
        self.decision = decision
        self.asked: list[DecisionInput] = []
        self.policies: Sequence[PolicyPlan] = ()

    async def decide(self, policies: Sequence[PolicyPlan], document: DecisionInput) -> Decision:
        self.policies = policies
        self.asked.append(document)
        if isinstance(self.decision, Exception):
            raise self.decision
        return self.decision

    async def validate(self, module: str) -> None:
        raise AssertionError(f"nothing validates a policy here: {module}")

    async def aclose(self) -> None:
        return

import dataclasses
from pathlib import Path

import pytest

from toolsets import ToolContext, ToolFailed, Toolset
from toolsets.testing import call, context

pytestmark = pytest.mark.unit

weather = Toolset("weather", description="Outside.", secrets=["key"])


@weather.tool(effect="read")
async def ask(context: ToolContext, name: str) -> str:
    """Ask for a secret."""
    await context.progress("asking")
    return await context.secret(name)


@weather.tool(effect="read")
def ask_in_a_thread(context: ToolContext, name: str) -> str:
    """Ask for a secret from a thread."""
    context.progress_sync("asking")
    return context.secret_sync(name)


@weather.tool(effect="read")
async def ask_wrongly(context: ToolContext) -> str:
    """Block the event loop for ever."""
    return context.secret_sync("key")


@pytest.mark.parametrize("tool", ["ask", "ask_in_a_thread"])
async def test_a_tool_gets_a_secret_and_is_heard_while_it_runs(tool: str) -> None:
    heard: list[str] = []

    got = await call(weather, tool, secrets={"key": "open sesame"}, progress=heard.append, name="key")

    assert got == "open sesame"
    assert heard == ["asking"]


@pytest.mark.parametrize("tool", ["ask", "ask_in_a_thread"])
async def test_a_secret_that_is_not_declared_is_not_given(tool: str) -> None:
    with pytest.raises(ToolFailed, match="doesn't declare the secret lock"):
        await call(weather, tool, secrets={"lock": "x"}, name="lock")


async def test_a_secret_that_does_not_exist_is_a_failure_for_the_model() -> None:
    with pytest.raises(ToolFailed, match="The secret key doesn't exist"):
        await call(weather, "ask", name="key")


async def test_waiting_in_the_event_loop_is_a_bug_and_no_deadlock() -> None:
    with pytest.raises(RuntimeError, match="an async function awaits"):
        await call(weather, "ask_wrongly", secrets={"key": "x"})


def test_a_context_tells_nothing_of_what_is_behind_it(tmp_path: Path) -> None:
    made = context(weather, tmp_path, secrets={"key": "canary"})

    assert "canary" not in repr(made)
    assert "_services" not in repr(made)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.workspace = Path("/")  # type: ignore[misc]

"""For the tests of a toolset: call its tools as an execution does, and see that it keeps the contract.

    async def test_wind_makes_cold_air_feel_colder() -> None:
        assert await call(weather, "wind_chill", celsius=0, kilometers_per_hour=30) == -6.5

    def test_it_keeps_the_contract() -> None:
        conforms(weather)

Both work with any test runner.
"""

import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from pydantic import JsonValue

from toolsets.arguments import schema_of
from toolsets.context import Services, ToolContext
from toolsets.failures import ToolFailed
from toolsets.outputs import shortened
from toolsets.tool import EFFECTS, Tool
from toolsets.toolset import Toolset

__all__ = ["call", "conforms", "context"]

LEAST_DESCRIPTION = 10
"""Characters; less tells a model nothing."""

_HOST = re.compile(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:\d{1,5})?")
_SECRET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def context(
    toolset: Toolset,
    workspace: Path,
    *,
    settings: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str] | None = None,
    progress: Callable[[str], None] | None = None,
    idempotency_key: str | None = None,
) -> ToolContext[Any]:
    """What a tool gets in an execution with these settings and secrets. Raises `SettingsInvalid`.

    As in an execution, a tool gets no secret that its toolset doesn't declare. `progress` hears what is told.
    """
    configured = toolset.configured(settings or {})
    declared = toolset.secrets_for(configured)

    async def release(name: str) -> str:
        if name not in declared:
            raise ToolFailed(f"The toolset {toolset.name} doesn't declare the secret {name}, so it isn't given it.")
        if name not in (secrets or {}):
            raise ToolFailed(f"The secret {name} doesn't exist.")
        return (secrets or {})[name]

    async def tell(message: str) -> None:
        if progress:
            progress(message)

    call_id = idempotency_key or str(uuid4())
    return ToolContext(
        execution_id=UUID(int=1),
        tool_execution_id=call_id,
        idempotency_key=call_id,
        workspace=workspace,
        settings=configured,
        _services=Services(release=release, tell=tell),
    )


async def call(
    toolset: Toolset,
    tool: str,
    *,
    settings: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str] | None = None,
    workspace: Path | None = None,
    progress: Callable[[str], None] | None = None,
    idempotency_key: str | None = None,
    **arguments: Any,
) -> JsonValue:
    """Call a tool by the name of its function, as a model would: arguments checked, the result as JSON, cut if long.

    Raises `ToolFailed` where the model would read of a failure, and what the function raises if it has a bug. One
    attempt is made, also of a read that raises `Retryable`. Without a `workspace` there is an empty one for the call.
    """
    with ExitStack() as stack:
        folder = workspace or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        prepared = context(
            toolset, folder, settings=settings, secrets=secrets, progress=progress, idempotency_key=idempotency_key
        )
        async with toolset.open(prepared) as tools:
            found = tools.get(f"{toolset.name}_{tool}")
            if found is None:
                raise LookupError(f"{toolset.name} has no tool {tool}; it has {', '.join(tools) or 'none'}")
            sent = json.loads(json.dumps(found.normalized(arguments)))
            return shortened(await found.call(prepared, sent), found.max_output)


def conforms(toolset: Toolset, *, settings: Mapping[str, Any] | None = None) -> None:
    """Check what can be seen without calling a tool. Raises `AssertionError` with all that is wrong.

    Give `settings` if the toolset can't do without.
    """
    wrong = problems(toolset, settings=settings or {})
    if wrong:
        raise AssertionError(f"the toolset {toolset.name} breaks the contract:\n- " + "\n- ".join(wrong))


def problems(toolset: Toolset, *, settings: Mapping[str, Any]) -> Sequence[str]:
    """What is wrong with a toolset, a sentence each."""
    wrong: list[str] = []
    if not toolset.description:
        wrong.append("it has no description")
    if not toolset.tools and toolset._opening is None:  # noqa: SLF001 - ours
        wrong.append("it has no tool")
    for tool in toolset.tools.values():
        wrong.extend(_of_tool(tool))
    try:
        configured = toolset.configured(settings)
        schema_of(toolset.settings)
    except ValueError as error:
        wrong.append(str(error))
        return wrong
    wrong.extend(
        f"the secret {name!r} can't be stored under that name"
        for name in toolset.secrets_for(configured)
        if not _SECRET.fullmatch(name)
    )
    wrong.extend(
        f"{host!r} is no host such as api.example.com, *.example.com or localhost:8080"
        for host in toolset.hosts_for(configured)
        if not _HOST.fullmatch(host)
    )
    return wrong


def _of_tool(tool: Tool) -> Sequence[str]:
    wrong = []
    if tool.effect not in EFFECTS:
        wrong.append(f"{tool.name}: the effect {tool.effect!r} doesn't exist")
    if len(tool.description) < LEAST_DESCRIPTION:
        wrong.append(f"{tool.name}: a model can't tell from {tool.description!r} what it does")
    if tool.parameters.get("type") != "object" or tool.parameters.get("additionalProperties") is not False:
        wrong.append(f"{tool.name}: its parameters must be an object without additional properties")
    for name, schema in tool.parameters.get("properties", {}).items():
        if not schema or schema == {"default": None}:
            wrong.append(f"{tool.name}: the type of {name} says nothing (Any); models need to know what to send")
    try:
        json.dumps(tool.parameters, allow_nan=False)
    except ValueError:
        wrong.append(f"{tool.name}: its schema isn't JSON")
    return wrong

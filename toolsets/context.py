"""What a tool gets besides its arguments."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic
from uuid import UUID

from typing_extensions import TypeVar

from toolsets.agents import Agents, Nobody
from toolsets.configuration import NoSettings
from toolsets.failures import ToolFailed

Settings_co = TypeVar("Settings_co", default=Any, covariant=True)
"""The model of the toolset's settings: `ToolContext[ShellSettings]`, or `ToolContext` alone."""

Result = TypeVar("Result")


async def _no_secrets(name: str) -> str:
    raise ToolFailed(f"The secret {name} doesn't exist.")


async def _unheard(message: str) -> None:  # noqa: ARG001 - nobody follows
    return


@dataclass(frozen=True, slots=True)
class Services:
    """What the execution does for its tools. Toolsets reach it through `ToolContext` only."""

    release: Callable[[str], Awaitable[str]] = _no_secrets
    tell: Callable[[str], Awaitable[None]] = _unheard
    agents: Agents = field(default_factory=Nobody)


@dataclass(frozen=True, slots=True)
class ToolContext(Generic[Settings_co]):
    """What a tool gets besides its arguments.

    `workspace` is an empty folder that belongs to this execution and is removed with it. `idempotency_key` is the same
    when the same call is made again after a crash. `settings` is an instance of the model that the toolset declares.
    """

    execution_id: UUID
    tool_execution_id: str
    idempotency_key: str
    workspace: Path
    settings: Settings_co = field(default_factory=NoSettings)  # type: ignore[assignment] # the default of most
    _services: Services = field(default_factory=Services, repr=False)
    _loop: asyncio.AbstractEventLoop | None = field(default=None, repr=False)

    async def secret(self, name: str) -> str:
        """The value of a secret that the toolset declares, released now and noted in the audit log.

        Ask where it is used and keep it no longer. It is blotted out of whatever the tool returns, raises or tells.
        Raises `ToolFailed` if it isn't declared, doesn't exist or isn't for this environment.
        """
        return await self._services.release(name)

    def secret_sync(self, name: str) -> str:
        """`secret` for functions that aren't async."""
        return self._wait(self.secret(name))

    async def progress(self, message: str) -> None:
        """Tell who follows the execution how far the call is. Cheap: what comes too fast is left out."""
        await self._services.tell(message)

    def progress_sync(self, message: str) -> None:
        """`progress` for functions that aren't async."""
        self._wait(self.progress(message))

    @property
    def agents(self) -> Agents:
        """The other agents that this execution may ask, which takes that its agent has the toolset `agent`."""
        return self._services.agents

    def _wait(self, asked: Coroutine[Any, Any, Result]) -> Result:
        if self._loop is None or self._loop is _running():
            asked.close()
            raise RuntimeError("an async function awaits; what ends in _sync is for functions that run in a thread")
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result()


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None

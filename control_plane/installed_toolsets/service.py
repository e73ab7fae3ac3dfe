"""The toolsets that are installed where the API runs. Those of a worker may differ: it has its own packages."""

import asyncio
import threading
from functools import cache

from control_plane.installed_toolsets.schemas import ToolRead, ToolsetRead
from toolsets import Toolset
from toolsets.arguments import schema_of
from toolsets.configuration import NoSettings
from toolsets.registry import Registry, ToolsetNotFound

_loading = threading.Lock()
"""A registry loads plugins one after the other, and doesn't expect two threads to ask for that."""

_found: dict[str, Toolset | None] = {}


async def listed() -> list[ToolsetRead]:
    """Every installed toolset by name, broken ones with the reason."""
    # In a thread: the first call imports every plugin, and what a plugin imports may take seconds.
    return await asyncio.to_thread(_described)


async def find(name: str) -> Toolset | None:
    """One toolset, loaded the first time that somebody asks. None if it isn't installed here, or broken."""
    registry = _registry()
    if name not in registry.names:
        return None
    if name not in _found:
        _found[name] = await asyncio.to_thread(_loaded, registry, name)
    return _found[name]


def described(registry: Registry) -> list[ToolsetRead]:
    """What there is to tell of a registry."""
    ready = [_ready(toolset) for toolset in registry.toolsets.values()]
    broken = [
        ToolsetRead(
            name=name,
            status="broken",
            description="",
            secrets=[],
            hosts=[],
            requires="",
            settings=schema_of(NoSettings),
            tools=[],
            problem=problem,
        )
        for name, problem in registry.broken.items()
    ]
    return sorted([*ready, *broken], key=lambda found: (found.name, found.status))


def _described() -> list[ToolsetRead]:
    with _loading:
        return described(_registry())


def _loaded(registry: Registry, name: str) -> Toolset | None:
    with _loading:
        try:
            return registry.get(name)
        except ToolsetNotFound:
            return None


def _ready(toolset: Toolset) -> ToolsetRead:
    tools = [
        ToolRead(
            name=tool.name,
            description=tool.description,
            effect=tool.effect,
            idempotent=tool.idempotent,
            timeout_seconds=tool.timeout,
            parameters=tool.parameters,
        )
        for tool in toolset.tools.values()
    ]
    return ToolsetRead(
        name=toolset.name,
        status="ready",
        description=toolset.description,
        secrets=list(toolset.secrets),
        hosts=list(toolset.hosts),
        requires=str(toolset.requires),
        settings=schema_of(toolset.settings),
        tools=tools,
        problem=None,
    )


@cache
def _registry() -> Registry:
    return Registry()

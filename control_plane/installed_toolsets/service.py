"""The toolsets that are installed where the API runs. Those of a worker may differ: it has its own packages."""

import asyncio
from functools import cache

from control_plane.installed_toolsets.schemas import ToolRead, ToolsetRead
from toolsets.registry import Registry
from toolsets.toolset import Toolset


async def listed() -> list[ToolsetRead]:
    """Every installed toolset by name, broken ones with the reason."""
    # In a thread: the first call imports every plugin, and what a plugin imports may take seconds.
    return described(await asyncio.to_thread(_registry))


def described(registry: Registry) -> list[ToolsetRead]:
    """What there is to tell of a registry."""
    ready = [_ready(toolset) for toolset in registry.toolsets.values()]
    broken = [
        ToolsetRead(name=name, status="broken", description="", secrets=[], tools=[], problem=problem)
        for name, problem in registry.broken.items()
    ]
    return sorted([*ready, *broken], key=lambda found: (found.name, found.status))


def _ready(toolset: Toolset) -> ToolsetRead:
    tools = [
        ToolRead(
            name=tool.name,
            description=tool.description,
            effect=tool.effect,
            idempotent=tool.idempotent,
            parameters=tool.parameters,
        )
        for tool in toolset.tools.values()
    ]
    return ToolsetRead(
        name=toolset.name,
        status="ready",
        description=toolset.description,
        secrets=list(toolset.secrets),
        tools=tools,
        problem=None,
    )


@cache
def _registry() -> Registry:
    return Registry()

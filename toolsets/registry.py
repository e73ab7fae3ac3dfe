"""Finding the toolsets that are installed. A broken plugin hides only itself, and the registry says why."""

import logging
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from toolsets import hookspecs
from toolsets.toolset import Toolset

ENTRY_POINT_GROUP = "control_plane.toolsets"

logger = logging.getLogger(__name__)


class ToolsetNotFound(LookupError):
    """An agent asks for a toolset that this machine doesn't have."""


class Registry:
    """The toolsets of this process by name, and for those that could not be loaded the reason."""

    def __init__(self, plugins: Iterable[EntryPoint] | None = None) -> None:
        self.toolsets: dict[str, Toolset] = {}
        self.broken: dict[str, str] = {}
        found = entry_points(group=ENTRY_POINT_GROUP) if plugins is None else plugins
        for plugin in sorted(found, key=lambda entry: (entry.name, entry.value)):
            self._load(plugin)

    def get(self, name: str) -> Toolset:
        """One toolset. Raises `ToolsetNotFound` saying what is installed and, if it is broken, why."""
        if name in self.toolsets:
            return self.toolsets[name]
        if name in self.broken:
            raise ToolsetNotFound(f"The toolset {name} is installed on this worker but broken: {self.broken[name]}")
        installed = ", ".join(sorted(self.toolsets)) or "none"
        raise ToolsetNotFound(
            f"The toolset {name} is not installed on this worker. Install the package that brings it and restart the"
            f" worker. Installed are: {installed}."
        )

    def _load(self, plugin: EntryPoint) -> None:
        try:
            toolset = self._accepted(plugin)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code may raise anything; it is kept as the reason
            self.broken[plugin.name] = f"{type(error).__name__}: {error}"
            logger.warning("the toolset plugin %s is broken: %s", plugin.name, type(error).__name__)
        else:
            self.toolsets[toolset.name] = toolset

    def _accepted(self, plugin: EntryPoint) -> Toolset:
        toolset = _registered(plugin.load())
        if toolset.name != plugin.name:
            raise ValueError(f"it calls itself {toolset.name!r} but its entry point is named {plugin.name!r}")
        if toolset.name in self.toolsets:
            raise ValueError("another installed package brings a toolset of the same name")
        return toolset


def _registered(plugin: Any) -> Toolset:
    """What the hook of one plugin returns. Each has a manager of its own, so that none can disturb another."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin)
    manager.check_pending()
    results = manager.hook.register_toolset()
    if len(results) != 1 or not isinstance(results[0], Toolset):
        raise TypeError("it must implement the hook register_toolset() with @hookimpl and return one Toolset")
    toolset: Toolset = results[0]
    return toolset

"""Finding the toolsets that are installed. A broken plugin hides only itself, and the registry says why.

A plugin is foreign code, so it is loaded when somebody asks for it by name, or for everything.
"""

import logging
import os
from collections.abc import Collection, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from toolsets import hookspecs
from toolsets.toolset import Toolset

ENTRY_POINT_GROUP = "control_plane.toolsets"
REHEARSALS_GROUP = "control_plane.rehearsals"
"""Toolsets that stand in for those of the same names and touch nothing real."""

REHEARSE_VARIABLE = "CONTROL_PLANE_WORKER_REHEARSE"
"""The setting of a worker that names, separated by commas, the toolsets that others stand in for."""

logger = logging.getLogger(__name__)


class ToolsetNotFound(LookupError):
    """An agent asks for a toolset that this machine doesn't have."""


class Registry:
    """The toolsets of this process. Made without loading any."""

    def __init__(self, plugins: Iterable[EntryPoint] | None = None) -> None:
        self._toolsets: dict[str, Toolset] = {}
        self._broken: dict[str, str] = {}
        found = _installed() if plugins is None else plugins
        self._waiting = sorted(found, key=lambda entry: (entry.name, entry.value))
        self.names = tuple(sorted({entry.name for entry in self._waiting}))
        self.sources = {entry.name: _source(entry) for entry in self._waiting}

    @property
    def toolsets(self) -> Mapping[str, Toolset]:
        """All that work, by name. Loads every plugin."""
        self._load_all(self.names)
        return self._toolsets

    @property
    def broken(self) -> Mapping[str, str]:
        """Why those that could not be loaded couldn't, by name. Loads every plugin."""
        self._load_all(self.names)
        return self._broken

    def get(self, name: str) -> Toolset:
        """One toolset, loaded now if need be. Raises `ToolsetNotFound` with what is installed, or why it is broken."""
        self._load_all([name])
        if name in self._toolsets:
            return self._toolsets[name]
        if name in self._broken:
            raise ToolsetNotFound(f"The toolset {name} is installed on this worker but broken: {self._broken[name]}")
        installed = ", ".join(self.names) or "none"
        raise ToolsetNotFound(
            f"The toolset {name} is not installed on this worker. Install the package that brings it and restart the"
            f" worker. Installed are: {installed}."
        )

    def _load_all(self, names: Collection[str]) -> None:
        wanted = [plugin for plugin in self._waiting if plugin.name in names]
        self._waiting = [plugin for plugin in self._waiting if plugin.name not in names]
        for plugin in wanted:
            self._load(plugin)

    def _load(self, plugin: EntryPoint) -> None:
        try:
            toolset = self._accepted(plugin)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code may raise anything; it is kept as the reason
            self._broken[plugin.name] = f"{type(error).__name__}: {error}"
            logger.warning("the toolset plugin %s is broken: %s", plugin.name, type(error).__name__)
        else:
            self._toolsets[toolset.name] = toolset

    def _accepted(self, plugin: EntryPoint) -> Toolset:
        toolset = _registered(plugin.load())
        if toolset.name != plugin.name:
            raise ValueError(f"it calls itself {toolset.name!r} but its entry point is named {plugin.name!r}")
        if toolset.name in self._toolsets:
            raise ValueError("another installed package brings a toolset of the same name")
        if not toolset.requires.contains(hookspecs.API_VERSION, prereleases=True):
            raise ValueError(
                f"it works with the plugin API {toolset.requires} and not with {hookspecs.API_VERSION}, which is here."
                " Install a version of it that does"
            )
        return toolset


def _source(plugin: EntryPoint) -> str:
    """The package that brings it, and its version."""
    return f"{plugin.dist.name} {plugin.dist.version}" if plugin.dist else plugin.value


def _installed() -> list[EntryPoint]:
    """The plugins of this machine. What is to be rehearsed is never done for real, even if there is no rehearsal."""
    rehearsed = {name.strip() for name in os.environ.get(REHEARSE_VARIABLE, "").split(",")}
    real = [plugin for plugin in entry_points(group=ENTRY_POINT_GROUP) if plugin.name not in rehearsed]
    return real + [plugin for plugin in entry_points(group=REHEARSALS_GROUP) if plugin.name in rehearsed]


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

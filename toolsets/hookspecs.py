"""The whole contract of a plugin: one hook."""

import pluggy

from toolsets.toolset import Toolset

PROJECT = "control_plane_toolsets"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_toolset() -> Toolset:
    """Return the toolset that this plugin brings. Called once in each process that needs it."""
    raise AssertionError("pluggy calls implementations, never the specification")

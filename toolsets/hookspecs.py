"""The whole contract of a plugin: one hook."""

import pluggy

from toolsets.toolset import Toolset

PROJECT = "control_plane_toolsets"

API_VERSION = "0.1"
"""The version of what `toolsets` offers to plugins. Its first number grows when a plugin would have to change."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_toolset() -> Toolset:
    """Return the toolset that this plugin brings. Called once in each process that needs it."""
    raise AssertionError("pluggy calls implementations, never the specification")

"""GitHub, or a GitHub Enterprise server: as much of it as the settings let an agent have."""

from toolsets import Toolset, hookimpl
from toolsets.builtin.github import changing, looking
from toolsets.builtin.github.toolset import github

__all__ = ["changing", "github", "looking", "register_toolset"]


@hookimpl
def register_toolset() -> Toolset:
    """The toolset `github`."""
    return github

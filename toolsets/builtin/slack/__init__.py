"""Slack: as much of a workspace as the settings let an agent have."""

from toolsets import Toolset, hookimpl
from toolsets.builtin.slack.tools import slack

__all__ = ["register_toolset", "slack"]


@hookimpl
def register_toolset() -> Toolset:
    """The toolset `slack`."""
    return slack

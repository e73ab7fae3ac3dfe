"""What authors of toolset plugins import, and nothing else: this is the public API."""

from toolsets.configuration import SettingsInvalid
from toolsets.context import ToolContext
from toolsets.failures import Retryable, ToolFailed
from toolsets.hookspecs import API_VERSION, hookimpl
from toolsets.tool import Effect, Tool
from toolsets.toolset import Toolset

__all__ = [
    "API_VERSION",
    "Effect",
    "Retryable",
    "SettingsInvalid",
    "Tool",
    "ToolContext",
    "ToolFailed",
    "Toolset",
    "hookimpl",
]

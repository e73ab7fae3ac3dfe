"""What authors of toolset plugins import, and nothing else: this is the public API."""

from toolsets.hookspecs import hookimpl
from toolsets.toolset import Effect, Tool, ToolContext, ToolFailed, Toolset

__all__ = ["Effect", "Tool", "ToolContext", "ToolFailed", "Toolset", "hookimpl"]

"""Programs that toolsets run, held in by bubblewrap: no network, no files but their folder, no way to the worker.

`run` carries one out and returns what it printed. `prepare` says how to start one that is talked to while it runs, such
as an MCP server. Where there is no sandbox both raise `SandboxUnavailable`, unless the setting `sandbox` is `off`.
"""

from toolsets.builtin.sandbox.bubblewrap import SandboxUnavailable, available, reason
from toolsets.builtin.sandbox.preparing import PYTHON_FOLDERS, WORKSPACE, Prepared, prepare
from toolsets.builtin.sandbox.running import Finished, run
from toolsets.builtin.sandbox.settings import SandboxSettings

__all__ = [
    "PYTHON_FOLDERS",
    "WORKSPACE",
    "Finished",
    "Prepared",
    "SandboxSettings",
    "SandboxUnavailable",
    "available",
    "prepare",
    "reason",
    "run",
]

"""Finding the programs that are installed beside this Python."""

import sys
import sysconfig
from pathlib import Path

from control_plane import install_command
from control_plane.embedded.processes import ProcessFailed


def program(name: str) -> Path:
    """The script of that name in this environment. Raises `ProcessFailed` if it isn't installed."""
    found = Path(sysconfig.get_path("scripts")) / name
    if not found.exists():
        raise ProcessFailed(f"There is no program {name} beside {sys.executable}. Run {install_command('all')}.")
    return found

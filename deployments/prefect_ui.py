"""The files of Prefect's own pages, as its server installs them before it fills in where it serves them."""

from pathlib import Path
from typing import Final

import prefect

PLACEHOLDER: Final = "/PREFECT_UI_SERVE_BASE_REPLACE_PLACEHOLDER"
"""Stands in the files where the path belongs at which they are served."""


def files() -> Path:
    """The folder with `index.html`. Nothing may be changed in it."""
    return Path(prefect.__ui_static_path__)

"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path | None,
    typer.Option(
        envvar="CONTROL_PLANE_DATA",
        help="Folder that holds everything the stack keeps. Default: the user's data folder.",
        show_default=False,
    ),
]
